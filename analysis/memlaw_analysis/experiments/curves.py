"""The stored information over the length: a curve for each rank and number of steps, and whether it levels off."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from memlaw_analysis.experiments.estimate import Estimate, slope_of
from memlaw_analysis.experiments.rows import EFFECTIVE, from_source, over_seeds
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.saturation import DEFAULT, Rule

TAIL = 4
"""The slope is that over the longest lengths, so many."""

BELOW = Rule("delta_loss", 0.5)
"""Cells that a slope leaves out: towards a text recalled whole it goes to 1, whatever the adapter."""

FLAT = 0.15
"""Slope, up or down, within which a curve counts as constant."""


@dataclass(frozen=True)
class Curve:
    """The stored information of one rank and one number of steps over the length.

    Attributes:
        origin: where its information is counted from, a key of `memlaw_analysis.experiments.rows.ORIGINS`.
        rank, steps: of its cells.
        cells: its unsaturated cells, seeds averaged, ascending in length; at least one.
        tail: those of the longest `TAIL` lengths that `BELOW` leaves.
        slope: d ln(nats) / d ln ℓ over the tail; None where it is too short.
    """

    origin: str
    rank: int
    steps: int
    cells: pd.DataFrame
    tail: pd.DataFrame
    slope: Estimate | None

    @property
    def longest(self) -> pd.Series:
        """The cell of the longest text."""
        return self.cells.iloc[-1]

    @property
    def verdict(self) -> str:
        """`levels off`, `grows`, `falls`, or `open`.

        It levels off where the slope's interval lies in ±`FLAT`, and grows or falls where it lies outside on one side.
        """
        if self.slope is None:
            return "open"
        if self.slope.within(FLAT):
            return "levels off"
        return "grows" if self.slope.low > FLAT else "falls" if self.slope.high < -FLAT else "open"


def stored(rows: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Return the stored information of each rank, number of steps and length, seeds averaged.

    Columns: those of `over_seeds`, and `nats`, `nats_per_parameter`, `nats_per_effective` (NaN: not known), and
    `offered`, the nats that a text recalled whole stores.

    Args:
        rows: of the experiment.
        origin: where it is counted from, a key of `memlaw_analysis.experiments.rows.ORIGINS`.
    """
    cells = over_seeds(from_source(rows) if origin == "source" else rows, ["lora.rank", "steps", "target_tokens"])
    nats = cells["target_tokens"] * cells["delta_loss_nats"]
    return cells.assign(
        nats=nats,
        nats_per_parameter=nats / cells["trainable_parameters"],
        nats_per_effective=nats / cells[EFFECTIVE],
        offered=cells["target_tokens"] * cells["base_loss_nats"],
    )


def curves(rows: pd.DataFrame, origin: str) -> list[Curve]:
    """Split the cells of `stored` into curves, without saturated cells: those store all that there is.

    Cells that stored nothing have no logarithm and are left out too.
    """
    cells = stored(rows, origin)
    usable = cells[~DEFAULT.excludes(cells) & (cells["nats"] > 0)]
    split = []
    for (rank, steps), rows in usable.groupby(["lora.rank", "steps"]):
        ascending = rows.sort_values("target_tokens", ignore_index=True)
        tail = ascending[~BELOW.excludes(ascending)].tail(TAIL)
        try:
            slope = slope_of(np.log(tail["target_tokens"]), np.log(tail["nats"]))
        except TooFewCells:
            slope = None
        split.append(Curve(origin, int(rank), int(steps), ascending, tail, slope))
    return split
