"""The law and its rivals on the same cells, ranked by how well they predict cells that they have not seen."""

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import pandas as pd

from analysis.collapse import fit_collapse
from analysis.forms import FORMS, Form
from analysis.law import LawFit, TooFewCells, fit_law, grid_point, r_squared
from analysis.saturation import DEFAULT, Rule

FOLDS = 5


class Predictor(Protocol):
    """A fitted form."""

    def predict_cells(self, cells: pd.DataFrame) -> np.ndarray:
        """ΔL of cells, nats per token."""
        ...


Fit = Callable[[pd.DataFrame], Predictor]


def held_out_splits(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Which cells each split holds out: the longest lengths, the largest ranks, their corner, the smallest rank."""
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
    """The cells on which every form is judged: unsaturated ones, for a saturated one is no feat to predict."""
    return ~DEFAULT.excludes(table)


def held_out_error(table: pd.DataFrame, held_out: pd.Series, fit: Fit, scored: pd.Series) -> float:
    """Mean relative error of ΔL on held-out cells, of a form fitted to the others.

    Args:
        table: cells of one condition.
        held_out: which cells are not fitted.
        fit: the form, from cells to predictions.
        scored: on which cells it is judged, where they are held out.

    Raises:
        TooFewCells: the others cannot determine the form, or nothing is left to predict.
    """
    unseen = table[held_out & scored]
    if unseen.empty:
        raise TooFewCells("no unsaturated cell is held out")
    predicted = fit(table[~held_out]).predict_cells(unseen)
    return float((predicted / unseen["delta_loss_nats"] - 1).abs().mean())


def folds(table: pd.DataFrame, count: int = FOLDS, seed: int = 0) -> list[pd.Series]:
    """Random splits of the grid points; seeds of a point stay together."""
    points = table.groupby(grid_point(table)).ngroup()
    order = np.random.default_rng(seed).permutation(points.max() + 1)
    return [points.isin(part) for part in np.array_split(order, min(count, len(order)))]


def information_criterion(fitted: LawFit) -> float:
    """AICc of a least-squares fit; comparable between forms on the same cells only.

    Infinite with too few cells; not a number for a fit that leaves nothing but rounding.
    """
    n, k = len(fitted.used), fitted.result.nvarys + 1
    if n - k - 1 <= 0:
        return float("inf")
    if fitted.leaves_rounding:
        return float("nan")
    return n * np.log(fitted.result.chisqr / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def compare(table: pd.DataFrame, rule: Rule | None = None) -> pd.DataFrame:
    """A row per form, and one for the collapse: fit to all cells that the rule leaves, and errors on unseen ones.

    Columns: form, formula, cells, r_squared, r_squared_log, alpha/beta, aicc, problem, and one per held-out split and
    for random folds: mean relative errors of ΔL on the unsaturated cells among them, whose number stands in the name;
    NaN where the rest cannot be fitted, for folds as soon as one cannot.
    """
    splits = held_out_splits(table)
    rows = [_row(table, form, rule, splits) for form in FORMS.values() if form.can_describe(table)]
    rows.append(_collapse_row(table, splits))
    return pd.DataFrame(rows)


_KNOWN = ("form", "formula", "cells", "r_squared", "r_squared_log", "alpha/beta", "aicc", "problem", "error")


def splits_of(rivals: pd.DataFrame) -> list[str]:
    """The columns of `compare` that are errors on unseen cells."""
    return [name for name in rivals if name not in _KNOWN]


def ranked(rivals: pd.DataFrame) -> pd.DataFrame:
    """`compare`'s rows, best first, with `error`: the mean over the splits that every fitted form could be tested on.

    A split that one form could not be fitted to counts for none, else a form would gain by failing.
    """
    splits = splits_of(rivals)
    fitted = rivals[splits].notna().any(axis=1)
    shared = [name for name in splits if rivals.loc[fitted, name].notna().all()]
    return rivals.assign(error=rivals[shared].mean(axis=1)).sort_values("error", ignore_index=True)


def _row(table: pd.DataFrame, form: Form, rule: Rule | None, splits: Mapping[str, pd.Series]) -> dict[str, object]:
    row: dict[str, object] = {"form": form.name, "formula": form.formula}
    try:
        fitted = fit_law(table, form, rule)
    except TooFewCells:
        return {**row, "problem": "too few cells"}
    return {
        **row,
        "cells": len(fitted.used),
        "r_squared": fitted.r_squared,
        "r_squared_log": fitted.r_squared_log,
        "alpha/beta": fitted.exponent_ratio,
        "aicc": information_criterion(fitted),
        "problem": "; ".join(fitted.not_identified),
        **_errors(lambda rest: fit_law(rest, form, rule, like=fitted), table, splits),
    }


def _collapse_row(table: pd.DataFrame, splits: Mapping[str, pd.Series]) -> dict[str, object]:
    row: dict[str, object] = {"form": "collapse", "formula": "L0·F(r^κ/ℓ), F any monotone function"}
    try:
        fitted = fit_collapse(table)
    except TooFewCells:
        return {**row, "problem": "too few cells"}
    explained = r_squared(table["delta_loss_nats"].to_numpy(float), fitted.predict_cells(table))
    row |= {"cells": len(table), "r_squared": explained, "alpha/beta": fitted.kappa, "problem": ""}
    return row | _errors(fit_collapse, table, splits)


def _errors(fit: Fit, table: pd.DataFrame, splits: Mapping[str, pd.Series]) -> dict[str, float]:
    scored = scored_cells(table)

    def known(held_out: pd.Series) -> float:
        try:
            return held_out_error(table, held_out, fit, scored)
        except TooFewCells:
            return float("nan")

    each = [known(part) for part in folds(table) if (part & scored).any()]
    told = {f"{name} ({int((part & scored).sum())})": known(part) for name, part in splits.items()}
    return {**told, f"{FOLDS}-fold ({int(scored.sum())})": float(np.mean(each)) if each else float("nan")}
