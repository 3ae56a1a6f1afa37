"""The law and its rivals on the same cells, ranked by how well they predict cells that they have not seen."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from analysis.collapse import fit_collapse
from analysis.forms import FORMS, Form
from analysis.law import LawFit, TooFewCells, fit_law, r_squared
from analysis.saturation import Rule

FOLDS = 5


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


def held_out_error(
    table: pd.DataFrame,
    held_out: pd.Series,
    form: Form,
    rule: Rule | None = None,
    start: Mapping[str, float] | None = None,
) -> float:
    """Mean relative error of ΔL on the held-out cells, of the form fitted to the others.

    Args:
        table: cells of one condition.
        held_out: which cells are not fitted.
        form: the form.
        rule: cells that are neither fitted nor predicted; see `analysis.law.fit_law`.
        start: see `analysis.law.fit_law`.

    Raises:
        TooFewCells: the others cannot determine the form, or nothing is left to predict.
    """
    fitted = fit_law(table[~held_out], form, rule, start=start)
    unseen = table[held_out & ~fitted.rule.excludes(table)]
    if unseen.empty:
        raise TooFewCells("no unsaturated cell is held out")
    return float((fitted.predict_cells(unseen) / unseen["delta_loss_nats"] - 1).abs().mean())


def folds(table: pd.DataFrame, count: int = FOLDS, seed: int = 0) -> list[pd.Series]:
    """Random splits of the grid points; seeds of a point stay together."""
    points = table.groupby(["lora.rank", "target_tokens"]).ngroup()
    order = np.random.default_rng(seed).permutation(points.max() + 1)
    return [points.isin(part) for part in np.array_split(order, min(count, len(order)))]


def information_criterion(fitted: LawFit) -> float:
    """AICc of a least-squares fit; comparable between forms on the same cells only."""
    n, k = len(fitted.used), fitted.result.nvarys + 1
    if n - k - 1 <= 0:
        return float("inf")
    return n * np.log(fitted.result.chisqr / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)


def compare(table: pd.DataFrame, rule: Rule | None = None) -> pd.DataFrame:
    """A row per form, and one for the collapse: fit to all cells that the rule leaves, and errors on unseen ones.

    Columns: form, formula, cells, r_squared, r_squared_log, alpha/beta, aicc, problem, one per held-out split and
    `k-fold`, which are mean relative errors of ΔL; NaN where the rest cannot be fitted.
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
        **_errors(lambda mask: held_out_error(table, mask, form, rule, fitted.values), table, splits),
    }


def _collapse_row(table: pd.DataFrame, splits: Mapping[str, pd.Series]) -> dict[str, object]:
    row: dict[str, object] = {"form": "collapse", "formula": "L0·F(r^κ/ℓ), F any monotone function"}
    try:
        fitted = fit_collapse(table)
    except TooFewCells:
        return {**row, "problem": "too few cells"}

    def error(held_out: pd.Series) -> float:
        unseen = table[held_out]
        predicted = fit_collapse(table[~held_out]).predict_cells(unseen)
        return float((predicted / unseen["delta_loss_nats"] - 1).abs().mean())

    explained = r_squared(table["delta_loss_nats"].to_numpy(float), fitted.predict_cells(table))
    row |= {"cells": len(table), "r_squared": explained, "alpha/beta": fitted.kappa, "problem": ""}
    return row | _errors(error, table, splits)


def _errors(
    error: Callable[[pd.Series], float], table: pd.DataFrame, splits: Mapping[str, pd.Series]
) -> dict[str, float]:
    def known(mask: pd.Series) -> float:
        try:
            return error(mask)
        except TooFewCells:
            return float("nan")

    each = [known(mask) for mask in folds(table)]
    mean = float(np.nanmean(each)) if np.isfinite(each).any() else float("nan")
    return {**{name: known(mask) for name, mask in splits.items()}, "k-fold": mean}
