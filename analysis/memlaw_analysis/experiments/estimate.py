"""Numbers with 95 % intervals: means, ratios and slopes of a few measurements, by Student's t or Tukey's range."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from memlaw.core.wording import count
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.uncertainty import LEVEL

CLOSE = 0.1
"""Share of a number within which an interval is close to it. A wide interval includes the number and shows nothing."""


class Estimate(NamedTuple):
    """A number and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    def includes(self, number: float) -> bool:
        """Return whether a number lies in the interval."""
        return self.low <= number <= self.high

    def within(self, bound: float) -> bool:
        """Return whether the whole interval lies in ±`bound`."""
        return -bound <= self.low and self.high <= bound

    def is_close_to(self, number: float) -> bool:
        """Return whether the whole interval lies within `CLOSE` of a positive number, as a share of it."""
        return (1 - CLOSE) * number <= self.low and self.high <= (1 + CLOSE) * number

    def __str__(self) -> str:
        width = self.high - self.low
        digits = min(max(1 - math.floor(math.log10(width)), 0), 4) if 0 < width < math.inf else 2
        text = f"{self.value:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"
        return text.replace("-", "−")


def mean_of(values: Sequence[float] | np.ndarray, at_once: int = 1) -> Estimate:
    """Return the mean of independent measurements.

    Args:
        values: the measurements.
        at_once: how many intervals shall all hold at once (Bonferroni), where the largest of them is picked.

    Raises:
        TooFewCells: fewer than two.
    """
    numbers = np.asarray(values, dtype=float)
    if len(numbers) < 2:
        raise TooFewCells(f"{count(len(numbers), 'measurement')}; an interval needs 2")
    return _around(float(numbers.mean()), float(stats.sem(numbers)), len(numbers) - 1, at_once)


def ratio_of(above: Sequence[float] | np.ndarray, below: Sequence[float] | np.ndarray, at_once: int = 1) -> Estimate:
    """Return the geometric mean of above/below over pairs of positive measurements; `at_once` as in `mean_of`.

    Raises:
        TooFewCells: fewer than two pairs.
    """
    logarithms = np.log(np.asarray(above, dtype=float) / np.asarray(below, dtype=float))
    return Estimate(*(math.exp(end) for end in mean_of(logarithms, at_once)))


def ratios_among(groups: Mapping[Any, Sequence[float] | np.ndarray]) -> dict[tuple[Any, Any], Estimate]:
    """Return the ratio of geometric means of any two groups of positive measurements.

    The intervals hold all at once (Tukey's honestly significant differences of logarithms, with the variance that the
    groups share). So they hold for the largest and the smallest of the groups too.

    Raises:
        TooFewCells: fewer than two groups, or a group with a single measurement.
    """
    short = [name for name, values in groups.items() if len(values) < 2]
    if short:
        raise TooFewCells(f"1 measurement of {', '.join(map(_label, short))}; an interval needs 2")
    if len(groups) < 2:
        raise TooFewCells(f"{count(len(groups), 'place')}; a comparison needs 2")
    logarithms = [np.log(np.asarray(values, dtype=float)) for values in groups.values()]
    difference = stats.tukey_hsd(*logarithms)
    ends = difference.confidence_interval(LEVEL)
    names = list(groups)
    return {
        (names[i], names[j]): Estimate(*(math.exp(of[i, j]) for of in (difference.statistic, ends.low, ends.high)))
        for i, j in itertools.permutations(range(len(names)), 2)
    }


def _label(name: object) -> str:
    return " and ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def slope_of(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Estimate:
    """Return the slope of the least-squares line of y on x.

    Raises:
        TooFewCells: fewer than three different x.
    """
    if len(np.unique(np.asarray(x, dtype=float))) < 3:
        raise TooFewCells(f"{len(np.unique(x))} points; a slope with its interval needs 3")
    line = stats.linregress(x, y)
    return _around(float(line.slope), float(line.stderr), len(x) - 2)


def _around(value: float, error: float, freedom: int, at_once: int = 1) -> Estimate:
    half = error * float(stats.t.isf((1 - LEVEL) / 2 / at_once, freedom))
    return Estimate(value, value - half, value + half)
