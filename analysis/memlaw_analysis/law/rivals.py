"""The law and its rivals on the same cells, ranked by their error on unseen cells."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import pandas as pd

from memlaw_analysis.law.collapse import fit_collapse
from memlaw_analysis.law.enough import TooFewCells, grid_point
from memlaw_analysis.law.fit import LawFit, fit_law, r_squared, relative_error
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import FORMS, Form
from memlaw_analysis.law.saturation import DEFAULT

FOLDS = 5


class Predictor(Protocol):
    """A fitted form."""

    def predict_cells(self, cells: pd.DataFrame) -> np.ndarray:
        """Predict ΔL of cells, nats per token."""
        ...


FitCells = Callable[[pd.DataFrame], Predictor]
"""Cells → a form fitted to them."""


def held_out_splits(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Hold out the longest lengths, the largest ranks, both at once, and the smallest rank: split → which cells."""
    rank, length = table["lora.rank"], table["target_tokens"]
    long, large = length >= _upper_third(length), rank >= _upper_third(rank)
    return {
        f"ℓ ≥ {_upper_third(length):g}": long,
        f"r ≥ {_upper_third(rank):g}": large,
        "both": long & large,
        f"r = {rank.min():g}": rank == rank.min(),
    }


def _upper_third(values: pd.Series) -> float:
    distinct = np.sort(values.unique())
    return float(distinct[-max(1, len(distinct) // 3)])


def scored_cells(table: pd.DataFrame) -> pd.Series:
    """Unsaturated cells only: saturated ones are trivial to predict."""
    return ~DEFAULT.excludes(table)


def held_out_error(table: pd.DataFrame, held_out: pd.Series, fit: FitCells, scored: pd.Series) -> float:
    """Fit a form to the other cells and return its mean relative error of ΔL on the held-out ones.

    Args:
        table: cells of one condition.
        held_out: which cells not to fit.
        fit: fits the form.
        scored: which cells count, where they are held out.

    Raises:
        TooFewCells: the others cannot determine the form, or nothing is left to predict.
    """
    unseen = table[held_out & scored]
    if unseen.empty:
        raise TooFewCells("no unsaturated cell is held out")
    predicted = fit(table[~held_out]).predict_cells(unseen)
    return relative_error(unseen["delta_loss_nats"].to_numpy(float), predicted)


def folds(table: pd.DataFrame, count: int = FOLDS, seed: int = 0) -> list[pd.Series]:
    """Split the grid points at random; seeds of a point stay together."""
    points = table.groupby(grid_point(table)).ngroup()
    order = np.random.default_rng(seed).permutation(points.max() + 1)
    return [points.isin(part) for part in np.array_split(order, min(count, len(order)))]


def information_criterion(fit: LawFit) -> float:
    """Return AICc of a least-squares fit; comparable between forms on the same cells only.

    lmfit's AIC does not count the variance of the noise as a parameter; this one does.

    Infinite with too few cells; NaN for a fit whose residuals are rounding alone.
    """
    n, k = len(fit.used), fit.result.nvarys + 1
    if n - k - 1 <= 0:
        return float("inf")
    if fit.leaves_rounding:
        return float("nan")
    return float(fit.result.aic) + 2 + 2 * k * (k + 1) / (n - k - 1)


def compare_forms(fits: Fits) -> pd.DataFrame:
    """Fit every form, and the collapse, and measure their errors on unseen cells: a row each.

    Columns: form, formula, cells, r_squared, r_squared_log, mape, alpha/beta, aicc, problem, and a column per held-out
    split and for random folds. `mape` is the mean relative error of ΔL on the cells fitted. The others hold it for the
    unsaturated cells held out, whose number stands in the column's name. They are NaN where the other cells cannot be
    fitted, for folds where those of any fold cannot.
    """
    splits = held_out_splits(fits.cells)
    rows = [_row(fits, form, splits) for form in FORMS.values() if form.can_describe(fits.cells)]
    rows.append(_collapse_row(fits, splits))
    return pd.DataFrame(rows)


_NO_SPLITS = {
    "form",
    "formula",
    "cells",
    "r_squared",
    "r_squared_log",
    "mape",
    "alpha/beta",
    "aicc",
    "problem",
    "error",
}


def splits_of(rivals: pd.DataFrame) -> list[str]:
    """Return the columns of `compare_forms` that are errors on unseen cells."""
    return [name for name in rivals if name not in _NO_SPLITS]


def ranked(rivals: pd.DataFrame) -> pd.DataFrame:
    """Sort `compare_forms`' rows, best first, by `error`: the mean over splits that test every fitted form.

    A split to which some form could not be fitted is left out for all, so that no form gains by failing.
    """
    splits = splits_of(rivals)
    tested = rivals[splits].notna().any(axis=1)
    shared = [name for name in splits if rivals.loc[tested, name].notna().all()]
    return rivals.assign(error=rivals[shared].mean(axis=1)).sort_values("error", ignore_index=True)


def _row(fits: Fits, form: Form, splits: Mapping[str, pd.Series]) -> dict[str, object]:
    row: dict[str, object] = {"form": form.name, "formula": form.formula}
    try:
        fit = fits.law(form)
    except TooFewCells:
        return {**row, "problem": "too few cells"}
    return {
        **row,
        "cells": len(fit.used),
        "r_squared": fit.r_squared,
        "r_squared_log": fit.r_squared_log,
        "mape": fit.mean_relative_error,
        "alpha/beta": fit.exponent_ratio,
        "aicc": information_criterion(fit),
        "problem": "; ".join(fit.not_identified),
        **_errors(lambda rest: fit_law(rest, form, fit.rule, like=fit), fits.cells, splits),
    }


def _collapse_row(fits: Fits, splits: Mapping[str, pd.Series]) -> dict[str, object]:
    row: dict[str, object] = {"form": "collapse", "formula": "L0·F(r^κ/ℓ), F any monotone function"}
    table = fits.cells
    try:
        collapse = fits.collapse
    except TooFewCells:
        return {**row, "problem": "too few cells"}
    true, predicted = table["delta_loss_nats"].to_numpy(float), collapse.predict_cells(table)
    row |= {"cells": len(table), "r_squared": r_squared(true, predicted), "mape": relative_error(true, predicted)}
    return row | {"alpha/beta": collapse.kappa, "problem": ""} | _errors(fit_collapse, table, splits)


def _errors(fit: FitCells, table: pd.DataFrame, splits: Mapping[str, pd.Series]) -> dict[str, float]:
    scored = scored_cells(table)

    def error(held_out: pd.Series) -> float:
        try:
            return held_out_error(table, held_out, fit, scored)
        except TooFewCells:
            return float("nan")

    by_fold = [error(part) for part in folds(table) if (part & scored).any()]
    by_split = {f"{name} ({int((part & scored).sum())})": error(part) for name, part in splits.items()}
    return {**by_split, f"{FOLDS}-fold ({int(scored.sum())})": float(np.mean(by_fold)) if by_fold else float("nan")}
