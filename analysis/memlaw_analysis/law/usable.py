"""Which cells fits may use: those that were measured and memorized something, each measurement once.

A cell with ΔL ≤ 0 memorized nothing, or training made it worse than the base model. ΔL has no logarithm there. A small
number must not replace it, because a fit would take that for a measurement.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

RESOLUTION = 1e-6
"""ΔL/L0 below which ΔL counts as 0: losses are computed in single precision."""

MOST_NAMES = 8
"""Cells that a sentence names; further ones are counted."""

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
    """The cells of one condition, sorted by whether fits may use them.

    Attributes:
        cells: fits use these.
        silent: these memorized nothing: ΔL ≤ `RESOLUTION`·L0.
        unknown: their rank, length, L0 or ΔL is not a number, or is impossible.
        repeated: these repeat an earlier cell in every digit, the seed included.
    """

    cells: pd.DataFrame
    silent: pd.DataFrame
    unknown: pd.DataFrame
    repeated: pd.DataFrame

    @property
    def nothing(self) -> str | None:
        """Why no cell is usable; None where some are."""
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
        """Yield which cells were left out and why, a sentence per reason; except what `nothing` already says."""
        silent = self.silent if len(self.cells) else self.silent.head(0)
        reasons = (
            (silent, "memorized nothing or became worse than the base model (ΔL ≤ 0)"),
            (self.unknown, "have no rank, length, L0 or ΔL that is a number"),
            (self.repeated, "repeat a measurement in every digit, which counts once"),
        )
        for cells, reason in reasons:
            if len(cells):
                yield f"left out of every fit because they {reason}: {_names(cells)}"

    def record(self) -> dict[str, list[str]]:
        """Return reason → names of the cells left out for it; empty where none was."""
        reasons = {"silent": self.silent, "unknown": self.unknown, "repeated": self.repeated}
        return {reason: [_name(row) for row in _rows(cells)] for reason, cells in reasons.items() if len(cells)}


def usable(cells: pd.DataFrame) -> Usable:
    """Sort the cells of one condition by whether fits may use them.

    Args:
        cells: columns `lora.rank`, `target_tokens`, `base_loss_nats`, `delta_loss_nats`; perhaps `seed` and sizes.
    """
    names = [*_POSITIVE, "delta_loss_nats"]
    numbers = cells[names].apply(pd.to_numeric, errors="coerce").astype(float)
    possible = np.isfinite(numbers).all(axis=1) & (numbers[list(_POSITIVE)] > 0).all(axis=1)
    learned = possible & memorized(numbers)
    repeated = learned & cells.duplicated([name for name in _MEASUREMENT if name in cells])
    cells = cells.assign(**numbers)
    return Usable(cells[learned & ~repeated], cells[possible & ~learned], cells[~possible], cells[repeated])


def memorized(cells: pd.DataFrame) -> pd.Series:
    """Return whether each cell memorized anything. Columns: `delta_loss_nats`, `base_loss_nats`."""
    return cells["delta_loss_nats"] > RESOLUTION * cells["base_loss_nats"]


def _rows(cells: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in cells.to_dict("records")]


def _name(row: dict[str, Any]) -> str:
    """A cell's name; a published point has none, so its rank and length."""
    return str(row["cell"]) if "cell" in row else f"r = {_text(row['lora.rank'])}, ℓ = {_text(row['target_tokens'])}"


def _text(number: float) -> str:
    return f"{number:.5g}" if np.isfinite(number) else "–"


def _names(cells: pd.DataFrame) -> str:
    """Cells by name with their ΔL."""
    names = list(dict.fromkeys(f"{_name(row)} (ΔL = {_text(row['delta_loss_nats'])})" for row in _rows(cells)))
    more = [f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return "; ".join([*names[:MOST_NAMES], *more])
