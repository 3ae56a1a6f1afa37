"""Unintended memorization: what an adapter stores about its target beyond the source of the target.

I = ℓ·(H − L), nats, where the source's entropy H is known (Morris et al., arXiv 2505.24832). An adapter that stores no
more than it can hold has an I that depends on the rank and not on the length.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.uncertainty import LEVEL, Interval

HALF = 0.5
"""Largest share of ℓ·H that a cell may store to be free of saturation. Closer to all of it, I follows the length."""


@dataclass(frozen=True)
class Unintended:
    """Unintended memorization over rank and length.

    Attributes:
        cells: `unintended` of the cells.
        slope: d ln I / d ln ℓ at one rank, common to all ranks, over the cells that are free of saturation.
        slope_interval: its t interval.
    """

    cells: pd.DataFrame
    slope: float
    slope_interval: Interval

    @property
    def free(self) -> pd.DataFrame:
        """The cells that are free of saturation and store anything."""
        return _free(self.cells)

    @property
    def by_rank(self) -> "pd.Series[float]":
        """Mean I of these cells in nats, by rank."""
        return self.free.groupby("lora.rank")["nats"].mean()


def unintended(cells: pd.DataFrame) -> pd.DataFrame:
    """Return I of each cell whose source's entropy is known.

    Columns: `lora.rank`, `target_tokens`, `nats`, and `share` of ℓ·H. Needed besides: `source_entropy_nats`,
    `base_loss_nats`, `delta_loss_nats`.

    Raises:
        TooFewCells: no cell knows the entropy of its source.
    """
    if "source_entropy_nats" not in cells or cells["source_entropy_nats"].isna().all():
        raise TooFewCells("the entropy of the source is not known")
    known = cells[cells["source_entropy_nats"].notna()]
    stored = known["source_entropy_nats"] - known["base_loss_nats"] + known["delta_loss_nats"]
    return known[["lora.rank", "target_tokens"]].assign(
        nats=known["target_tokens"] * stored, share=stored / known["source_entropy_nats"]
    )


def fit_unintended(cells: pd.DataFrame) -> Unintended:
    """Fit the slope of ln I over ln ℓ, with an intercept for each rank.

    Args:
        cells: of one condition.

    Raises:
        TooFewCells: see `unintended`; or too few cells are free of saturation.
    """
    table = unintended(cells)
    free = _free(table)
    rank, lengths = free["lora.rank"], np.log(free["target_tokens"].astype(float))
    x, y = (values - values.groupby(rank).transform("mean") for values in (lengths, np.log(free["nats"])))
    spread, freedom = float((x**2).sum()), len(free) - rank.nunique() - 1
    if freedom < 1 or not free.groupby("lora.rank")["target_tokens"].nunique().gt(1).any():
        raise TooFewCells(f"{len(free)} cells store at most {HALF:.0%} of their target; a slope over ℓ needs more")
    slope = float((x * y).sum()) / spread
    stderr = np.sqrt(float(((y - slope * x) ** 2).sum()) / freedom / spread)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, freedom) * stderr)
    return Unintended(table, slope, (slope - reach, slope + reach))


def _free(table: pd.DataFrame) -> pd.DataFrame:
    return table[(table["share"] > 0) & (table["share"] <= HALF)]
