"""The law at each number of steps: its exponents, and whether they move."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fit import LawFit
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.uncertainty import DRAWS, ENOUGH, LEVEL, bootstrap

EXPONENTS = {"alpha": "α", "beta": "β", "alpha/beta": "α/β"}


@dataclass(frozen=True)
class Law:
    """The law of cells that were trained alike.

    Attributes:
        name: how they were trained, e.g. `200 steps`.
        fit: the law fitted to them; None where they are too few.
        draws: exponents of each bootstrap draw.
        reason: why there is no fit; empty where there is one.
    """

    name: str
    fit: LawFit | None
    draws: pd.DataFrame
    reason: str

    @classmethod
    def of(cls, name: str, cells: pd.DataFrame) -> "Law":
        """Fit the law and resample it."""
        try:
            fit = Fits(cells).law()
        except TooFewCells as error:
            return cls(name, None, pd.DataFrame(columns=list(EXPONENTS)), str(error))
        return cls(name, fit, bootstrap(fit), "")

    @property
    def sound(self) -> bool:
        """Whether its exponents mean something: fitted, identified, and in enough draws."""
        return self.fit is not None and not self.fit.not_identified and len(self.draws) >= ENOUGH * DRAWS

    def exponent(self, name: str) -> Estimate:
        """Return an exponent with its bootstrap interval. `name` is a key of `EXPONENTS`."""
        assert self.fit is not None
        value = self.fit.exponent_ratio if name == "alpha/beta" else self.fit.values[name]
        return _percentiles(float(value if value is not None else "nan"), self.draws[name])


def difference(after: Law, before: Law, name: str) -> Estimate:
    """Return how far an exponent moved between two sound laws of different cells, with its bootstrap interval."""
    count = min(len(after.draws), len(before.draws))
    drawn = after.draws[name].to_numpy()[:count] - before.draws[name].to_numpy()[:count]
    return _percentiles(after.exponent(name).value - before.exponent(name).value, pd.Series(drawn))


def _percentiles(value: float, drawn: pd.Series) -> Estimate:
    finite = drawn[np.isfinite(drawn.astype(float))]
    if finite.empty:
        return Estimate(value, float("-inf"), float("inf"))
    tail = (1 - LEVEL) / 2
    return Estimate(value, float(finite.quantile(tail)), float(finite.quantile(1 - tail)))
