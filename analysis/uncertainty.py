"""How far the parameters of a fit can be trusted: profile likelihood, and bootstrap over cells and seeds."""

import warnings
from collections.abc import Iterator

import lmfit
import numpy as np
import pandas as pd

from analysis.law import LawFit, TooFewCells, fit_law, grid_point

Interval = tuple[float, float]
LEVEL = 0.95
DRAWS = 200
ENOUGH = 0.9
"""Share of draws that must be fitted: intervals over what happens to be fittable would be too narrow."""


def profile_intervals(fitted: LawFit, level: float = LEVEL) -> dict[str, Interval]:
    """Profile-likelihood intervals by lmfit's `conf_interval`; an open side is infinite.

    Returns:
        Per varied parameter (low, high); empty when the parameters are not identified.
    """
    if fitted.not_identified or fitted.result.covar is None:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lmfit warns where a side is open; it is then infinite here
        found = lmfit.conf_interval(fitted.minimizer, fitted.result, sigmas=[level])
    return {name: (float(rows[0][1]), float(rows[-1][1])) for name, rows in found.items()}


def resamples(table: pd.DataFrame, draws: int = DRAWS, seed: int = 0) -> Iterator[pd.DataFrame]:
    """Tables of cells drawn with replacement; of a grid point with several seeds, seeds are drawn too."""
    rng = np.random.default_rng(seed)
    points = list(table.groupby(grid_point(table)).indices.values())
    for _ in range(draws):
        drawn = [points[index] for index in rng.integers(len(points), size=len(points))]
        yield table.iloc[np.concatenate([rows[rng.integers(len(rows), size=len(rows))] for rows in drawn])]


def bootstrap(fitted: LawFit, draws: int = DRAWS, seed: int = 0) -> pd.DataFrame:
    """Parameters of `fitted`'s form refitted to resampled cells: a row per draw that could be fitted."""
    rows = []
    for table in resamples(pd.concat([fitted.used, fitted.excluded]), draws, seed):
        try:
            again = fit_law(table, fitted.form, fitted.rule, like=fitted)
        except TooFewCells:
            continue
        varied = {name: again.values[name] for name in fitted.result.var_names}
        rows.append({**varied, "alpha/beta": again.exponent_ratio})
    return pd.DataFrame(rows)


def bootstrap_intervals(draws: pd.DataFrame, wanted: int = DRAWS, level: float = LEVEL) -> dict[str, Interval]:
    """Percentile intervals of each column; none when fewer than `ENOUGH` of the wanted draws could be fitted."""
    tail = (1 - level) / 2
    if len(draws) < ENOUGH * wanted:
        return {}
    return {str(name): (float(v.quantile(tail)), float(v.quantile(1 - tail))) for name, v in draws.items()}
