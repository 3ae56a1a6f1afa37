"""ΔL at convergence: cells trained for several numbers of steps, extrapolated to endless training.

The form is ΔL(S) = ΔL∞ − A·S^(−p), with ΔL∞ and A of each grid point and one p for all. For a given p it is linear, so
the fit searches p alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import optimize, stats

from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.uncertainty import LEVEL

MIN_STEPS = 3
"""Different numbers of steps that a grid point needs."""

POWERS = (0.05, 3.0)
"""Allowed range of p. At an end the rows do not determine it."""

STEP = 0.01
"""Step of p in numerical derivatives."""

SHARE = 0.95
"""Share of ΔL∞ that counts as converged."""


@dataclass(frozen=True)
class Convergence:
    """Grid points at endless training.

    Attributes:
        power: p, with its profile interval.
        points: a row per grid point: its columns, `delta_loss_nats` (ΔL∞), `error` (its standard error), `amplitude`
            (A), `steps_needed` (to `SHARE` of ΔL∞), and `reached` (the largest measured share of ΔL∞).
        residual: root mean square of the residuals, nats.
    """

    power: Estimate
    points: pd.DataFrame
    residual: float

    @property
    def identified(self) -> bool:
        """Whether p lies inside its range, with a bounded interval."""
        return POWERS[0] < self.power.low and self.power.high < POWERS[1]


def extrapolate(cells: pd.DataFrame, by: list[str]) -> Convergence:
    """Extrapolate the grid points of cells to endless training.

    Args:
        cells: `steps`, `delta_loss_nats`, `base_loss_nats` and the columns of `by`; a row per grid point and number of
            steps.
        by: columns that name a grid point.

    Raises:
        TooFewCells: no two grid points with `MIN_STEPS` numbers of steps.
    """
    groups = [group for _, group in cells.groupby(by) if group["steps"].nunique() >= MIN_STEPS]
    if len(groups) < 2:
        raise TooFewCells(f"{len(groups)} grid points with {MIN_STEPS} numbers of steps; the extrapolation needs 2")
    freedom = sum(map(len, groups)) - 2 * len(groups) - 1
    if freedom < 1:
        raise TooFewCells("no cell more than parameters")

    def squares(power: float) -> float:
        return sum(float(_line(group, power)[2]) for group in groups)

    power = float(optimize.minimize_scalar(squares, bounds=POWERS, method="bounded", options={"xatol": 1e-8}).x)
    least = squares(power)
    limit = least * (1 + float(stats.f.ppf(LEVEL, 1, freedom)) / freedom)
    low, high = (_end(lambda value: squares(value) - limit, power, end) for end in POWERS)
    variance = least / freedom
    bend = (squares(power + STEP) - 2 * least + squares(power - STEP)) / STEP**2
    uncertain = 2 * variance / bend if bend > 0 else float("inf")  # the variance of p
    points = pd.DataFrame([_point(group, by, power, variance, uncertain) for group in groups])
    return Convergence(Estimate(power, low, high), points, float(np.sqrt(variance)))


def _line(group: pd.DataFrame, power: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(ΔL∞, −A), the inverse of the normal matrix, and the sum of squares, for a given p."""
    design = np.column_stack([np.ones(len(group)), group["steps"].to_numpy(float) ** -power])
    inverse = np.linalg.pinv(design.T @ design)
    measured = group["delta_loss_nats"].to_numpy(float)
    solution = inverse @ design.T @ measured
    return solution, inverse, float(((design @ solution - measured) ** 2).sum())


def _point(group: pd.DataFrame, by: list[str], power: float, variance: float, uncertain: float) -> dict[str, object]:
    """A grid point at endless training.

    The error of ΔL∞ counts the noise of the cells (`variance`) and the uncertainty of p (`uncertain`, its variance).
    """
    (level, slope), inverse, _ = _line(group, power)
    by_power = (_line(group, power + STEP)[0][0] - _line(group, power - STEP)[0][0]) / (2 * STEP)
    needed = (max(-slope, 0.0) / ((1 - SHARE) * level)) ** (1 / power) if level > 0 else float("nan")
    return {
        **group.iloc[0][by].to_dict(),
        "base_loss_nats": group["base_loss_nats"].mean(),
        "delta_loss_nats": float(level),
        "error": float(np.sqrt(variance * inverse[0, 0] + uncertain * by_power**2)),
        "amplitude": float(-slope),
        "steps_needed": float(needed),
        "reached": float(group["delta_loss_nats"].max() / level),
    }


def _end(excess: Callable[[float], float], inside: float, end: float) -> float:
    """Where the sum of squares leaves the interval, or the end of p's range."""
    return float(optimize.brentq(excess, inside, end)) if excess(end) > 0 else end
