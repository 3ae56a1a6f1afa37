"""The stored information over the length: a curve for each rank and number of steps, and whether it levels off."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from memlaw_analysis.experiments.estimate import Estimate, slope_of
from memlaw_analysis.experiments.published import KEPT_BETA
from memlaw_analysis.experiments.rows import EFFECTIVE, ENTROPY, over_seeds
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.saturation import DEFAULT, Rule

ORIGINS = {"source": "beyond its source, ℓ·(H − L)", "base": "below the base model, ℓ·ΔL"}
"""Where stored information is counted from.

The base model's loss on random tokens, L0, is above their entropy H. The difference can be won by learning that the
tokens are uniform, without one of them. So what lies beyond H is stored of the text itself. Of the rest, one cannot
tell.
"""

TAIL = 4
"""The slope is that over the longest lengths, so many."""

BELOW = Rule("delta_loss", 0.5)
"""Cells that a slope leaves out: towards L0 it goes to 1, whatever the adapter."""

LAW_SLOPE = 1 - KEPT_BETA.value
"""Slope of ln(ℓ·ΔL) on ln ℓ under ΔL ∝ ℓ^(−β)."""


@dataclass(frozen=True)
class Curve:
    """The stored information of one rank and one number of steps over the length.

    Attributes:
        origin: where its information is counted from, a key of `ORIGINS`.
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

        It levels off where the slope's interval includes 0 and excludes the law's slope. It is open where the interval
        includes both, or there is none.
        """
        if self.slope is None or (self.slope.includes(0) and self.slope.high >= LAW_SLOPE):
            return "open"
        if self.slope.includes(0):
            return "levels off"
        return "grows" if self.slope.low > 0 else "falls"


def stored(rows: pd.DataFrame, origin: str) -> pd.DataFrame:
    """Return the stored information of each rank, number of steps and length, seeds averaged.

    Columns: those of `over_seeds`, and `nats`, `nats_per_parameter`, `nats_per_effective` (NaN: not known), and
    `offered`, the nats that a text recalled whole stores.

    Args:
        rows: of the experiment.
        origin: where it is counted from, a key of `ORIGINS`.
    """
    cells = over_seeds(rows, ["lora.rank", "steps", "target_tokens"])
    generic = cells["base_loss_nats"] - cells[ENTROPY] if origin == "source" else 0.0
    nats = cells["target_tokens"] * (cells["delta_loss_nats"] - generic)
    return cells.assign(
        nats=nats,
        nats_per_parameter=nats / cells["trainable_parameters"],
        nats_per_effective=nats / cells[EFFECTIVE],
        offered=cells["target_tokens"] * (cells["base_loss_nats"] - generic),
    )


def curves(rows: pd.DataFrame, origin: str) -> list[Curve]:
    """Split the cells of `stored` into curves, without saturated cells: those store all that there is.

    Cells that stored nothing have no logarithm and are left out too.
    """
    cells = stored(rows, origin)
    usable = cells[~DEFAULT.excludes(cells) & (cells["nats"] > 0)]
    found = []
    for (rank, steps), rows in usable.groupby(["lora.rank", "steps"]):
        ascending = rows.sort_values("target_tokens", ignore_index=True)
        tail = ascending[~BELOW.excludes(ascending)].tail(TAIL)
        try:
            slope = slope_of(np.log(tail["target_tokens"]), np.log(tail["nats"]))
        except TooFewCells:
            slope = None
        found.append(Curve(origin, int(rank), int(steps), ascending, tail, slope))
    return found
