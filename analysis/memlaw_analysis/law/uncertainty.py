"""Intervals of a fit's parameters: profile likelihood, and bootstrap over cells and seeds."""

import warnings
from collections.abc import Iterator

import lmfit
import numpy as np
import pandas as pd

from memlaw_analysis.law.enough import TooFewCells, grid_point
from memlaw_analysis.law.fit import LawFit, fit_law

Interval = tuple[float, float]
LEVEL = 0.95
DRAWS = 200
ENOUGH = 0.9
"""Share of draws that must be fitted: unusual draws fail first, so intervals over fewer would be too narrow."""


def profile_intervals(fit: LawFit, level: float = LEVEL) -> dict[str, Interval]:
    """Return profile-likelihood intervals by lmfit's `conf_interval`; an open side is infinite.

    Returns:
        (low, high) of each varied parameter; empty where the parameters are not identified.
    """
    if fit.not_identified or fit.result.covar is None:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lmfit warns of an open side, which is infinite here
        profiles = lmfit.conf_interval(fit.minimizer, fit.result, sigmas=[level])
    return {name: (float(rows[0][1]), float(rows[-1][1])) for name, rows in profiles.items()}


def resamples(table: pd.DataFrame, draws: int = DRAWS, seed: int = 0) -> Iterator[pd.DataFrame]:
    """Draw grid points with replacement, and of each its seeds with replacement: a table per draw."""
    rng = np.random.default_rng(seed)
    points = list(table.groupby(grid_point(table)).indices.values())
    for _ in range(draws):
        drawn = [points[index] for index in rng.integers(len(points), size=len(points))]
        yield table.iloc[np.concatenate([rows[rng.integers(len(rows), size=len(rows))] for rows in drawn])]


def bootstrap(fit: LawFit, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Refit the form to resampled cells: a row of parameters per draw that could be fitted."""
    rows = []
    for table in resamples(pd.concat([fit.used, fit.excluded]), draws, seed):
        try:
            refit = fit_law(table, fit.form, fit.rule, like=fit)
        except TooFewCells:
            continue
        varied = {name: refit.values[name] for name in fit.result.var_names}
        rows.append({**varied, "alpha/beta": refit.exponent_ratio})
    return pd.DataFrame(rows)


def bootstrap_intervals(draws: pd.DataFrame, wanted: int = DRAWS, level: float = LEVEL) -> dict[str, Interval]:
    """Return percentile intervals of each column; none where too few (`ENOUGH`) of the wanted draws could be fitted."""
    tail = (1 - level) / 2
    if len(draws) < ENOUGH * wanted:
        return {}
    return {str(name): (float(v.quantile(tail)), float(v.quantile(1 - tail))) for name, v in draws.items()}
