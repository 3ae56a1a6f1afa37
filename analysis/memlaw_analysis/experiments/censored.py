"""A line through quantities that are known to lie in intervals: ln ℓ* on ln r, by maximum likelihood."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from memlaw.core.wording import count
from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.uncertainty import LEVEL

MIN_X = 3
"""Different x with an interval of two ends that a slope needs."""

_SMALLEST_SPREAD = 0.02
"""Least standard deviation of y about the line. Where a line passes through all intervals, the likelihood has no
maximum without one."""

_SLOPES = (-10.0, 10.0)


@dataclass(frozen=True)
class Line:
    """y = at_zero + slope · x, with normal deviations.

    Attributes:
        slope: with its profile-likelihood interval; an end without bound is infinite.
        at_zero: y at x = 0.
        spread: standard deviation of y about the line.
    """

    slope: Estimate
    at_zero: float
    spread: float


def fit_line(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> Line:
    """Fit the line to intervals by the likelihood that each y lies in its own.

    Args:
        x, low, high: [K]; low may be −∞ and high ∞, for a y with one known side.

    Raises:
        TooFewCells: fewer than `MIN_X` different x with an interval of two ends.
    """
    closed = np.isfinite(low) & np.isfinite(high)
    if len(np.unique(x[closed])) < MIN_X:
        raise TooFewCells(f"{count(len(np.unique(x[closed])), 'rank')} with a bracketed value; a slope needs {MIN_X}")
    middle = (low[closed] + high[closed]) / 2
    start = np.polyfit(x[closed], middle, 1)

    def loss(slope: float) -> tuple[float, np.ndarray]:
        """Smallest −ln likelihood with a slope, and ln spread and at_zero there."""

        def at(point: np.ndarray) -> float:
            return _loss(x, low, high, slope, point[1], max(math.exp(point[0]), _SMALLEST_SPREAD))

        first = np.array([math.log(0.2), float(np.mean(middle - slope * x[closed]))])
        optimum = optimize.minimize(at, first, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-10})
        return float(optimum.fun), optimum.x

    best = optimize.minimize_scalar(lambda slope: loss(slope)[0], bracket=(start[0] - 0.1, start[0] + 0.1), tol=1e-9)
    slope, (log_spread, at_zero) = float(best.x), loss(best.x)[1]
    worst = float(best.fun) + float(stats.chi2.ppf(LEVEL, 1)) / 2
    low_end, high_end = (_crossing(lambda value: loss(value)[0] - worst, slope, end) for end in _SLOPES)
    spread = max(math.exp(log_spread), _SMALLEST_SPREAD)
    return Line(Estimate(slope, low_end, high_end), float(at_zero), spread)


def _loss(x: np.ndarray, low: np.ndarray, high: np.ndarray, slope: float, at_zero: float, spread: float) -> float:
    """−ln likelihood of the intervals."""
    centre = at_zero + slope * x
    below, above = (low - centre) / spread, (high - centre) / spread
    mirrored = below > 0  # both ends in the upper tail, where 1 − Φ keeps its digits
    below, above = np.where(mirrored, -above, below), np.where(mirrored, -below, above)
    lower, upper = stats.norm.logcdf(below), stats.norm.logcdf(above)
    return float(-np.sum(upper + np.log1p(-np.minimum(np.exp(lower - upper), 1 - 1e-15))))


def _crossing(excess: Callable[[float], float], inside: float, end: float) -> float:
    """The slope between `inside` and `end` where the likelihood leaves the interval; infinite where it never does."""
    step = 0.05 if end > inside else -0.05
    outside = inside + step
    while excess(outside) < 0:
        step *= 2
        outside = inside + step
        if abs(outside) > abs(end):
            return math.copysign(math.inf, end)
    return float(optimize.brentq(excess, inside, outside, xtol=1e-6))
