"""Training methods side by side: the same cells under each method, paired over seeds.

A pair is one rank, length and seed under two methods: same text, same initial adapter. Differences are averaged within
each seed, and seeds are the replicates: intervals are Student's t over them (95 %), and one seed has none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from analysis.strict import strict

BASELINE = "sft"
PLACE = ["target_tokens", "lora.rank"]


TIME = "worker_seconds"
"""Cells of a pack share it equally, so it says nothing there."""


@dataclass(frozen=True)
class Metric:
    """What methods are compared in.

    Attributes:
        column: of `compared`.
        title, heading: as people read it, in a sentence and above a column.
        format: of a value.
        unit: of a difference.
        scale: factor from the column to that unit.
        larger_is_better: which way is better.
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
    Metric("comes_back", "text before the first failure", "comes back", "{:.1%}", "points", 100, True),
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
        metric: which.
        one, other: the methods.
        mean: of the paired differences, averaged within each seed first.
        low, high: 95 % interval over seeds; NaN with fewer than two, or where all seeds differ by the same.
        reached: of all cells, how many of each method have a value at all, and of how many.
        pairs, seeds: how many.
    """

    metric: Metric
    one: str
    other: str
    mean: float
    low: float
    high: float
    pairs: int
    seeds: int
    reached: tuple[tuple[int, int], tuple[int, int]]

    @property
    def differs(self) -> bool | None:
        """Whether the interval excludes zero; None where there is no interval."""
        return None if np.isnan(self.low) else bool(self.low > 0 or self.high < 0)

    @property
    def better(self) -> str:
        """The method that the mean favours."""
        return self.one if (self.mean > 0) == self.metric.larger_is_better else self.other


@dataclass(frozen=True)
class Comparison:
    """Methods on the same cells.

    Attributes:
        label: what else the cells share, as in `analysis.load.conditions`.
        title: of the report's part.
        cells: a row per cell, the columns of `METRICS` among them.
        history: `analysis.dynamics.evaluations` of the cells; empty where there are no token tables.
        differences: over all pairs, every metric that was measured, every two methods.
    """

    label: str
    title: str
    cells: pd.DataFrame
    history: pd.DataFrame
    differences: list[Difference]

    @property
    def methods(self) -> list[str]:
        """Names, the baseline first."""
        return order(self.cells["method"].unique())

    @property
    def shares_time(self) -> bool:
        """Whether cells trained in packs, so that none has a time of its own."""
        return "pack_size" in self.cells and bool((self.cells["pack_size"] > 1).any())

    @property
    def metrics(self) -> list[Metric]:
        """Those that were measured."""
        return [m for m in METRICS if m.column in self.cells and self.cells[m.column].notna().any()]

    def record(self) -> dict[str, object]:
        """Means and differences in full precision, for `methods.json`, but no wall times: those never come again."""
        names = [metric.column for metric in self.metrics if metric.column != TIME]
        means = self.cells.groupby([*PLACE, "method"])[names].mean().reset_index()
        entries = [entry for entry in self.differences if entry.metric.column in names]
        record = {
            "condition": self.title,
            "cells": len(self.cells),
            "methods": self.methods,
            "means": means.to_dict("records"),
            "differences": [
                {
                    "metric": entry.metric.column, "one": entry.one, "other": entry.other, "unit": entry.metric.unit,
                    "mean": entry.mean, "low": entry.low, "high": entry.high,
                    "pairs": entry.pairs, "seeds": entry.seeds,
                }
                for entry in entries
            ],
        }  # fmt: skip
        return {name: strict(value) for name, value in record.items()}


def order(methods: "np.ndarray | list[str]") -> list[str]:
    """Methods by name, the baseline first."""
    return sorted(methods, key=lambda name: (name != BASELINE, name))


def variants(cells: pd.DataFrame) -> pd.Series:
    """The method's name, with whichever of its constants vary among cells of that name: `memft_ot threshold=0.9`."""
    labels = cells["method.name"].astype(str)
    for key in sorted(name for name in cells if name.startswith("method.") and name != "method.name"):
        text = cells[key].astype(object).where(cells[key].notna(), "null").astype(str)
        varies = text.groupby(cells["method.name"]).transform("nunique") > 1
        labels = labels.where(~varies, labels + f" {key.removeprefix('method.')}=" + text)
    return labels


def compared(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with the column `method` (see `variants`), and `exact` and `comes_back`.

    These are as decoded, else as teacher forcing predicts it.

    Args:
        cells: `recall_exact_share` and `recall_matched_share`, or `exact_share` and `first_wrong_share`, or neither.
    """
    cells = cells.assign(method=variants(cells))
    for name, decoded, predicted in (
        ("exact", "recall_exact_share", "exact_share"),
        ("comes_back", "recall_matched_share", "first_wrong_share"),
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
        cells: of one condition but for the method.
        history, label, title: see `Comparison`.
    """
    cells = compared(cells)
    found = Comparison(label, title, cells, history, [])
    differences = [
        difference(cells, metric, one, other)
        for metric in METRICS
        if metric.column in cells and not (metric.column == TIME and found.shares_time)
        for other, one in combinations(order(cells["method"].unique()), 2)
    ]
    return replace(found, differences=[entry for entry in differences if entry.pairs])


def paired(cells: pd.DataFrame, metric: Metric, one: str, other: str) -> pd.DataFrame:
    """`difference` in the metric's unit of each pair that both methods have: columns of `PLACE` and seed.

    Seeds that lack a place are left out, so that seeds can be averaged over the same places; unless all lack one.
    """
    values = cells[metric.column].astype(float).groupby([cells[name] for name in (*PLACE, "seed", "method")])
    wide = values.mean().unstack("method")  # where texts end early, several lengths are one
    if one not in wide or other not in wide:
        return pd.DataFrame(columns=[*PLACE, "seed", "difference"])
    both = (metric.scale * (wide[one] - wide[other])).dropna().rename("difference").reset_index()
    everywhere = both.groupby("seed")["difference"].transform("size") == len(both[PLACE].drop_duplicates())
    return both[everywhere].reset_index(drop=True) if everywhere.any() else both


def difference(cells: pd.DataFrame, metric: Metric, one: str, other: str) -> Difference:
    """One method minus another over all their pairs."""
    pairs = paired(cells, metric, one, other)
    by_seed = pairs.groupby("seed")["difference"].mean().to_numpy(float)
    mean = float(by_seed.mean()) if len(by_seed) else np.nan
    low = high = np.nan
    if np.allclose(by_seed, 0, atol=1e-12) and len(by_seed) > 1:
        low = high = 0.0
    elif len(by_seed) > 1 and not np.allclose(by_seed, mean, rtol=1e-9, atol=1e-12):
        margin = float(stats.t.ppf(0.975, len(by_seed) - 1) * by_seed.std(ddof=1) / np.sqrt(len(by_seed)))
        low, high = mean - margin, mean + margin
    values = {name: cells.loc[cells["method"] == name, metric.column] for name in (one, other)}
    reached = (int(values[one].count()), len(values[one])), (int(values[other].count()), len(values[other]))
    return Difference(metric, one, other, mean, low, high, len(pairs), len(by_seed), reached)


def by_place(
    cells: pd.DataFrame, metric: Metric, one: str, other: str
) -> Iterator[tuple[dict[str, float], Difference]]:
    """The difference at each rank and length by itself."""
    for values, own in cells.groupby(PLACE):
        found = difference(own, metric, one, other)
        if found.pairs:
            yield dict(zip(PLACE, map(float, values), strict=True)), found
