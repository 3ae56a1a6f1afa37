"""Capacity in bits: what an adapter holds per trainable parameter, and whether that reaches a plateau.

Memorized bits are ℓ·ΔL/ln 2. What is offered to an adapter, its load, is ℓ·L0/ln 2: the bits of the whole text under
the base model. Where the load is small all of it is memorized; where it is large, bits per parameter can level off.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from analysis.law import TooFewCells
from analysis.uncertainty import LEVEL, Interval, resamples
from analysis.usable import memorized

LITERATURE = {
    "facts in full training (arXiv 2404.05405)": 2.0,
    "GPT-style models on random tokens (arXiv 2505.24832)": 3.6,
}
"""Bits per parameter that others found, for whole models."""

MIN_CELLS = 6
MIN_UPPER = 3
"""Different loads in their upper half: a line through two, drawn again and again, may have any slope."""

RISING = 0.15
"""Slope d ln(bits per parameter) / d ln(load) at the largest loads above which there is no plateau yet."""


@dataclass(frozen=True)
class Capacity:
    """Bits per parameter over the load.

    Attributes:
        loads: per cell: load and bits, per trainable parameter (columns `load`, `bits_per_parameter`, `lora.rank`).
        best: the largest bits per parameter of a cell.
        slope: d ln(bits per parameter) / d ln(load) over the upper half of the loads; 0 on a plateau.
        slope_interval: its bootstrap interval; NaN where no draw has loads enough for a slope.
        plateau: the level of load/(1 + (load/level)^k)^(1/k) fitted to the cells, bits per parameter.
        plateau_interval: its bootstrap interval.
        bend: k of that curve.
    """

    loads: pd.DataFrame
    best: float
    slope: float
    slope_interval: Interval
    plateau: float
    plateau_interval: Interval
    bend: float

    @property
    def reached(self) -> bool:
        """Whether the cells show a plateau: bits per parameter no longer rise with the load."""
        return self.slope_interval[1] < RISING


def loads(cells: pd.DataFrame) -> pd.DataFrame:
    """Load and memorized bits of each cell, per trainable parameter.

    Columns needed: `target_tokens`, `base_loss_nats`, `delta_loss_nats`, `trainable_parameters`, `lora.rank`.
    """
    per_parameter = cells["target_tokens"] / cells["trainable_parameters"] / np.log(2)
    return cells[["lora.rank", "target_tokens"]].assign(
        load=per_parameter * cells["base_loss_nats"], bits_per_parameter=per_parameter * cells["delta_loss_nats"]
    )


def leveling(load: np.ndarray, level: float, k: float) -> np.ndarray:
    """load / (1 + (load/level)^k)^(1/k): all of a small load, `level` of a large one."""
    return load * (1 + (load / level) ** k) ** (-1 / k)


def capacity(cells: pd.DataFrame, seed: int = 0) -> Capacity:
    """Bits per parameter of the cells of one condition that memorized anything, and the plateau with its interval.

    Raises:
        TooFewCells: fewer than `MIN_CELLS` cells of different loads, fewer than `MIN_UPPER` in their upper half, or no
            trainable parameters known.
    """
    if "trainable_parameters" not in cells:
        raise TooFewCells("points without a number of trainable parameters")
    table = loads(cells[memorized(cells) & (cells["trainable_parameters"] > 0)])
    if _distinct(table["load"]) < MIN_CELLS:
        raise TooFewCells(
            f"{len(table)} cells that memorized anything, of {_distinct(table['load'])} different loads; a plateau "
            f"needs {MIN_CELLS}"
        )
    if _distinct(_upper(table)["load"]) < MIN_UPPER:
        raise TooFewCells(f"too few different loads among the largest; a plateau needs {MIN_UPPER} in the upper half")
    drawn = np.array([_fit(again)[:2] for again in resamples(table, seed=seed)])
    slope, level, bend = _fit(table)
    best = float(table["bits_per_parameter"].max())
    return Capacity(table, best, slope, _interval(drawn[:, 0]), level, _interval(drawn[:, 1]), bend)


def _interval(drawn: np.ndarray) -> Interval:
    """Percentiles of the draws that have a value; not numbers where none has."""
    tail, known = (1 - LEVEL) / 2, drawn[np.isfinite(drawn)]
    if not len(known):
        return float("nan"), float("nan")
    return float(np.quantile(known, tail)), float(np.quantile(known, 1 - tail))


def _distinct(load: pd.Series) -> int:
    """How many loads differ by more than rounding."""
    return int(np.log(load.astype(float)).round(9).nunique())


def _upper(table: pd.DataFrame) -> pd.DataFrame:
    """The cells from the median load on."""
    return table[table["load"] >= table["load"].median()]


def _fit(table: pd.DataFrame) -> tuple[float, float, float]:
    """Slope over the upper half of the loads, level and k of `leveling`."""
    x, y = np.log(table["load"].to_numpy(float)), np.log(table["bits_per_parameter"].to_numpy(float))
    upper = x >= np.median(x)
    spread = len(np.unique(x[upper].round(9))) >= MIN_UPPER
    slope = float(np.polyfit(x[upper], y[upper], 1)[0]) if spread else float("nan")

    def residual(parameters: np.ndarray) -> np.ndarray:
        level, k = np.exp(parameters)
        return np.log(leveling(np.exp(x), level, k)) - y

    low, high = min(-20.0, float(y.min()) - 1), max(10.0, float(y.max()) + 1)
    found = least_squares(residual, [float(y.max()), 0.0], bounds=([low, -2], [high, 4]), max_nfev=30)
    return slope, float(np.exp(found.x[0])), float(np.exp(found.x[1]))
