"""Training methods side by side: the same cells under each method, paired over seeds.

A pair is one rank, length and seed under two methods: same text, same initial adapter. Differences are averaged within
each seed. Seeds are the replicates: intervals are Student's t over them (95 %), and a single seed has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

BASELINE = "sft"
PLACE = ["target_tokens", "lora.rank"]
"""A length and a rank, at which methods are compared."""

TIME = "worker_seconds"
"""Wall time. Cells of a pack share it equally, so there it says nothing of a method."""


@dataclass(frozen=True)
class Metric:
    """A quantity in which methods are compared.

    Attributes:
        column: its column in `compared`.
        title, heading: its name in a sentence and above a column.
        format: format of a value.
        unit: unit of a difference.
        scale: factor from the column to that unit.
        larger_is_better: whether a larger value is better.
    """

    column: str
    title: str
    heading: str
    format: str
    unit: str
    scale: float
    larger_is_better: bool


METRICS = (
    Metric("exact", "exact match", "exact", "{:.0%}", "points", 100, True),
    Metric("before_failure", "text before the first failure", "before failure", "{:.1%}", "points", 100, True),
    Metric("recalled_share", "tokens with p > 0.5", "p > 0.5", "{:.1%}", "points", 100, True),
    Metric("steps_to_recall", "steps to full recall", "steps to recall", "{:.0f}", "steps", 1, False),
    Metric("loss_nats", "final loss L", "L", "{:.3f}", "nats", 1, False),
    Metric("spent_on_recalled", "weight on recalled tokens", "spent", "{:.1%}", "points", 100, False),
    Metric("forgetting_nats", "forgetting on held-out text", "forgets", "{:.3f}", "nats", 1, False),
    Metric(TIME, "wall time", "seconds", "{:.0f}", "s", 1, False),
)


@dataclass(frozen=True)
class Difference:
    """One method minus another in one metric, in the metric's unit.

    Attributes:
        metric: the metric.
        method, reference: the methods.
        mean: mean over seeds of the paired differences, averaged within each seed first.
        low, high: 95 % interval over seeds; NaN with fewer than two seeds, or where all differ by the same.
        pairs, seeds: their numbers.
        reached: for each method, how many of its cells have a value, and how many cells it has.
    """

    metric: Metric
    method: str
    reference: str
    mean: float
    low: float
    high: float
    pairs: int
    seeds: int
    reached: tuple[tuple[int, int], tuple[int, int]]

    @property
    def differs(self) -> bool | None:
        """Whether the interval excludes 0; None where there is no interval."""
        return None if np.isnan(self.low) else bool(self.low > 0 or self.high < 0)

    @property
    def better(self) -> str:
        """Name of the method that the mean favours."""
        return self.method if (self.mean > 0) == self.metric.larger_is_better else self.reference


@dataclass(frozen=True)
class Comparison:
    """Methods on the same cells.

    Attributes:
        label: as `memlaw_analysis.tables.conditions.conditions` yields it, of what varies beside the method.
        title: heading of the report's part.
        cells: a row per cell, with the columns of `METRICS`.
        history: `memlaw_analysis.recall.dynamics.evaluations` of the cells; empty where there are no token tables.
        differences: over all pairs, of every two methods in every metric that was measured.
    """

    label: str
    title: str
    cells: pd.DataFrame
    history: pd.DataFrame
    differences: list[Difference]

    @property
    def methods(self) -> list[str]:
        """Names of the methods, the baseline first."""
        return order(self.cells["method"].unique())

    @property
    def shares_time(self) -> bool:
        """Whether cells trained in packs, so that no cell has a time of its own."""
        return "pack_size" in self.cells and bool((self.cells["pack_size"] > 1).any())

    @property
    def metrics(self) -> list[Metric]:
        """Metrics that were measured."""
        return [m for m in METRICS if m.column in self.cells and self.cells[m.column].notna().any()]


def order(methods: "np.ndarray | list[str]") -> list[str]:
    """Sort methods by name, the baseline first."""
    return sorted(methods, key=lambda name: (name != BASELINE, name))


def variants(cells: pd.DataFrame) -> pd.Series:
    """Return each cell's method with those constants that vary among cells of its name: `memft_ot threshold=0.9`."""
    labels = cells["method.name"].astype(str)
    for key in sorted(name for name in cells if name.startswith("method.") and name != "method.name"):
        text = cells[key].astype(object).where(cells[key].notna(), "null").astype(str)
        varies = text.groupby(cells["method.name"]).transform("nunique") > 1
        labels = labels.where(~varies, labels + f" {key.removeprefix('method.')}=" + text)
    return labels


def compared(cells: pd.DataFrame) -> pd.DataFrame:
    """Add the columns `method` (see `variants`), `exact` and `before_failure`.

    The latter two are what was decoded, or what teacher forcing predicts where nothing was decoded.

    Args:
        cells: perhaps with `recall_exact_share` and `recall_matched_share`, or `exact_share` and `first_wrong_share`.
    """
    cells = cells.assign(method=variants(cells))
    for name, decoded, predicted in (
        ("exact", "recall_exact_share", "exact_share"),
        ("before_failure", "recall_matched_share", "first_wrong_share"),
    ):
        values = pd.Series(np.nan, index=cells.index)
        for source in (decoded, predicted):
            if source in cells:
                values = values.fillna(cells[source].astype(float))
        cells = cells.assign(**{name: values})
    return cells


def compare_methods(cells: pd.DataFrame, history: pd.DataFrame, label: str, title: str) -> Comparison:
    """Compare every two methods in every metric.

    Args:
        cells: cells of one condition but for the method.
        history, label, title: see `Comparison`.
    """
    cells = compared(cells)
    comparison = Comparison(label, title, cells, history, [])
    differences = [
        difference(cells, metric, method, reference)
        for metric in METRICS
        if metric.column in cells and not (metric.column == TIME and comparison.shares_time)
        for reference, method in combinations(order(cells["method"].unique()), 2)
    ]
    return replace(comparison, differences=[entry for entry in differences if entry.pairs])


def paired(cells: pd.DataFrame, metric: Metric, method: str, reference: str) -> pd.DataFrame:
    """Subtract the methods in each pair that both have, in the metric's unit: columns `PLACE`, seed, `difference`.

    Seeds that lack a place are left out, so that all are averaged over the same places, unless every seed lacks one.
    """
    values = cells[metric.column].astype(float).groupby([cells[name] for name in (*PLACE, "seed", "method")])
    wide = values.mean().unstack("method")  # texts that end early make several lengths the same
    if method not in wide or reference not in wide:
        return pd.DataFrame(columns=[*PLACE, "seed", "difference"])
    both = (metric.scale * (wide[method] - wide[reference])).dropna().rename("difference").reset_index()
    everywhere = both.groupby("seed")["difference"].transform("size") == len(both[PLACE].drop_duplicates())
    return both[everywhere].reset_index(drop=True) if everywhere.any() else both


def difference(cells: pd.DataFrame, metric: Metric, method: str, reference: str) -> Difference:
    """Subtract two methods over all their pairs, with the interval over seeds."""
    pairs = paired(cells, metric, method, reference)
    by_seed = pairs.groupby("seed")["difference"].mean().to_numpy(float)
    mean = float(by_seed.mean()) if len(by_seed) else np.nan
    low = high = np.nan
    if np.allclose(by_seed, 0, atol=1e-12) and len(by_seed) > 1:
        low = high = 0.0
    elif len(by_seed) > 1 and not np.allclose(by_seed, mean, rtol=1e-9, atol=1e-12):
        low, high = map(float, stats.ttest_1samp(by_seed, 0).confidence_interval(0.95))
    values = {name: cells.loc[cells["method"] == name, metric.column] for name in (method, reference)}
    counts = [(int(values[name].count()), len(values[name])) for name in (method, reference)]
    return Difference(metric, method, reference, mean, low, high, len(pairs), len(by_seed), (counts[0], counts[1]))


def by_place(
    cells: pd.DataFrame, metric: Metric, method: str, reference: str
) -> Iterator[tuple[dict[str, float], Difference]]:
    """Yield the difference at each rank and length by itself."""
    for values, rows in cells.groupby(PLACE):
        entry = difference(rows, metric, method, reference)
        if entry.pairs:
            yield dict(zip(PLACE, map(float, values), strict=True)), entry
