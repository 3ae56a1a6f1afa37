"""Which cells fits may rest on: those that were measured and memorized something, each measurement once.

A cell with ΔL ≤ 0 memorized nothing, or training made it worse than the base model. It has no logarithm, and nothing
small may stand in for it: a fit would take that for a measurement.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

RESOLUTION = 1e-6
"""ΔL/L0 up to which ΔL is not told from 0: losses are computed in single precision."""

MOST_NAMES = 8
"""Cells that a sentence names; more are counted."""

_POSITIVE = ("lora.rank", "target_tokens", "base_loss_nats")
_MEASUREMENT = (
    "model.name",
    "lora.rank",
    "target_tokens",
    "seed",
    "trainable_parameters",
    "base_loss_nats",
    "delta_loss_nats",
)


@dataclass(frozen=True)
class Usable:
    """The cells of one condition, by what fits may make of them.

    Attributes:
        cells: what fits rest on.
        silent: memorized nothing: ΔL ≤ `RESOLUTION`·L0.
        unknown: rank, length, L0 or ΔL is not a number, or one that it cannot be.
        repeated: the measurement of a cell before it, once more: the same numbers in every digit, the seed too.
    """

    cells: pd.DataFrame
    silent: pd.DataFrame
    unknown: pd.DataFrame
    repeated: pd.DataFrame

    @property
    def nothing(self) -> str | None:
        """Why there is nothing to fit; None where there is something."""
        if len(self.cells):
            return None
        if self.silent.empty:
            return f"no cell has a rank, a length, an L0 and a ΔL: {_names(self.unknown)}"
        return (
            f"nothing was memorized: ΔL is 0 or less in all of {len(self.silent)} cells, down to "
            f"{self.silent['delta_loss_nats'].min():.3g} nats. More steps or another learning rate may help; more "
            "ranks or lengths do not."
        )

    def cautions(self) -> Iterator[str]:
        """What was left out and why, a sentence each, with the cells' names; not what `nothing` says already."""
        silent = self.silent if len(self.cells) else self.silent.head(0)
        reasons = (
            (silent, "memorized nothing or became worse than the base model (ΔL ≤ 0)"),
            (self.unknown, "have no rank, length, L0 or ΔL that is a number"),
            (self.repeated, "repeat a measurement in every digit, which counts once"),
        )
        for cells, reason in reasons:
            if len(cells):
                yield f"left out of every fit, for they {reason}: {_names(cells)}"

    def record(self) -> dict[str, list[str]]:
        """The names of the cells left out, by reason; empty when none was."""
        reasons = {"silent": self.silent, "unknown": self.unknown, "repeated": self.repeated}
        return {reason: [_name(row) for row in _rows(cells)] for reason, cells in reasons.items() if len(cells)}


def usable(cells: pd.DataFrame) -> Usable:
    """Sort the cells of one condition by what fits may make of them.

    Args:
        cells: columns `lora.rank`, `target_tokens`, `base_loss_nats`, `delta_loss_nats`; `seed` and sizes, if known.
    """
    names = [*_POSITIVE, "delta_loss_nats"]
    numbers = cells[names].apply(pd.to_numeric, errors="coerce").astype(float)
    known = np.isfinite(numbers).all(axis=1) & (numbers[list(_POSITIVE)] > 0).all(axis=1)
    heard = known & memorized(numbers)
    again = heard & cells.duplicated([name for name in _MEASUREMENT if name in cells])
    cells = cells.assign(**numbers)
    return Usable(cells[heard & ~again], cells[known & ~heard], cells[~known], cells[again])


def memorized(cells: pd.DataFrame) -> pd.Series:
    """Whether each cell memorized anything. Columns: `delta_loss_nats`, `base_loss_nats`."""
    return cells["delta_loss_nats"] > RESOLUTION * cells["base_loss_nats"]


def _rows(cells: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in cells.to_dict("records")]


def _name(row: dict[str, Any]) -> str:
    """A cell's name; of a point, which has none, its place."""
    return str(row["cell"]) if "cell" in row else f"r = {_said(row['lora.rank'])}, ℓ = {_said(row['target_tokens'])}"


def _said(number: float) -> str:
    return f"{number:.5g}" if np.isfinite(number) else "–"


def _names(cells: pd.DataFrame) -> str:
    """Cells by name with their ΔL."""
    named = list(dict.fromkeys(f"{_name(row)} (ΔL = {_said(row['delta_loss_nats'])})" for row in _rows(cells)))
    more = [f"and {len(named) - MOST_NAMES} more"] if len(named) > MOST_NAMES else []
    return "; ".join([*named[:MOST_NAMES], *more])
