"""Capacity in bits: how much an adapter holds per parameter, and whether that reaches a plateau.

A parameter is a trainable one, or an effective one, which can matter (`memlaw.adapters.degrees_of_freedom`). Memorized
bits are ℓ·ΔL/ln 2. The load, the bits offered to an adapter, is ℓ·L0/ln 2: the whole text under the base model. A small
load is memorized whole; under a large one, bits per parameter can level off.
"""

from dataclasses import dataclass

import lmfit
import numpy as np
import pandas as pd

from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.least_squares import best_fit
from memlaw_analysis.law.uncertainty import LEVEL, Interval, resamples
from memlaw_analysis.law.usable import memorized

LITERATURE = {
    "facts in full training (arXiv 2404.05405)": 2.0,
    "GPT-style models on random tokens (arXiv 2505.24832)": 3.6,
}
"""Bits per parameter that others measured, for whole models."""

COUNTS = {"trainable_parameters": "trainable parameter", "effective_parameters": "effective parameter"}
"""Column that counts parameters → what such a parameter is called."""

MIN_CELLS = 6
MIN_UPPER = 3
"""Different loads needed in their upper half: in a resample, a line through two may have any slope."""

RISING = 0.15
"""Slope d ln(bits per parameter) / d ln(load) at the largest loads, above which there is no plateau yet."""


@dataclass(frozen=True)
class Capacity:
    """Bits per parameter over the load.

    Attributes:
        parameter: what is counted, a value of `COUNTS`.
        loads: `loads` of the cells.
        best: the largest bits per parameter of a cell.
        slope: d ln(bits per parameter) / d ln(load) over the upper half of the loads; 0 on a plateau.
        slope_interval: its bootstrap interval; NaN where no draw has enough loads for a slope.
        plateau: the level of load/(1 + (load/level)^k)^(1/k) fitted to the cells, bits per parameter.
        plateau_interval: its bootstrap interval.
        bend: k of that curve.
    """

    parameter: str
    loads: pd.DataFrame
    best: float
    slope: float
    slope_interval: Interval
    plateau: float
    plateau_interval: Interval
    bend: float

    @property
    def reached(self) -> bool:
        """Whether bits per parameter no longer rise with the load."""
        return self.slope_interval[1] < RISING


def loads(cells: pd.DataFrame, count: str = "trainable_parameters") -> pd.DataFrame:
    """Return load and memorized bits of each cell, per parameter.

    Columns: `lora.rank`, `target_tokens`, `load`, `bits_per_parameter`. Needed besides: `base_loss_nats`,
    `delta_loss_nats` and `count`, a key of `COUNTS`.
    """
    per_parameter = cells["target_tokens"] / cells[count] / np.log(2)
    return cells[["lora.rank", "target_tokens"]].assign(
        load=per_parameter * cells["base_loss_nats"], bits_per_parameter=per_parameter * cells["delta_loss_nats"]
    )


def leveling(load: np.ndarray, level: float, k: float) -> np.ndarray:
    """Return load / (1 + (load/level)^k)^(1/k): the whole of a small load, `level` of a large one."""
    return load * (1 + (load / level) ** k) ** (-1 / k)


def fit_capacity(cells: pd.DataFrame, count: str = "trainable_parameters", seed: int = 0) -> Capacity:
    """Fit the plateau, with its interval, to the cells of one condition that memorized anything.

    Args:
        cells: of one condition. Those whose number of parameters is not known are left out.
        count: counts the parameters, a key of `COUNTS`.
        seed: of the bootstrap.

    Raises:
        TooFewCells: fewer than `MIN_CELLS` different loads, fewer than `MIN_UPPER` in their upper half, or no number of
            parameters.
    """
    if count not in cells:
        raise TooFewCells(f"points without a number of {COUNTS[count]}s")
    table = loads(cells[memorized(cells) & (cells[count] > 0)], count)
    if _distinct(table["load"]) < MIN_CELLS:
        raise TooFewCells(
            f"{len(table)} cells that memorized anything, of {_distinct(table['load'])} different loads; a plateau "
            f"needs {MIN_CELLS}"
        )
    if _distinct(_upper(table)["load"]) < MIN_UPPER:
        raise TooFewCells(f"too few different loads among the largest; a plateau needs {MIN_UPPER} in the upper half")
    drawn = np.array([_fit(sample)[:2] for sample in resamples(table, seed=seed)])
    slope, level, bend = _fit(table)
    best = float(table["bits_per_parameter"].max())
    return Capacity(COUNTS[count], table, best, slope, _interval(drawn[:, 0]), level, _interval(drawn[:, 1]), bend)


def _interval(drawn: np.ndarray) -> Interval:
    """Percentiles of the finite draws; NaN where there is none."""
    tail, finite = (1 - LEVEL) / 2, drawn[np.isfinite(drawn)]
    if not len(finite):
        return float("nan"), float("nan")
    return float(np.quantile(finite, tail)), float(np.quantile(finite, 1 - tail))


def _distinct(load: pd.Series) -> int:
    """Count the loads that differ by more than rounding."""
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

    def residual(parameters: lmfit.Parameters) -> np.ndarray:
        return np.log(leveling(np.exp(x), *np.exp(list(parameters.valuesdict().values())))) - y

    start = lmfit.Parameters()
    highest = float(y.max())
    start.add("log_level", highest, min=min(-20.0, float(y.min()) - 1), max=max(10.0, highest + 1))
    start.add("log_k", 0.0, min=-2, max=4)
    _, result = best_fit(residual, [start])
    return slope, float(np.exp(result.params["log_level"].value)), float(np.exp(result.params["log_k"].value))
