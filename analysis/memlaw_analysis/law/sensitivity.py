"""How much the exponents depend on which cells are fitted and how saturation is treated."""

import pandas as pd

from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import FORMS, POWER, Form
from memlaw_analysis.law.saturation import DEFAULT, NONE, Rule

COMPARED_RULES = (
    NONE,
    Rule("delta_loss", 0.95),
    Rule("delta_loss", 0.9),
    DEFAULT,
    Rule("delta_loss", 0.8),
    Rule("recalled", 0.9),
)


def sensitivity(fits: Fits) -> pd.DataFrame:
    """Fit the law under several rules and robustly, and the saturating forms to all cells: a row per fit.

    Columns: form, rule, loss, cells, alpha, beta, b, their standard errors (`alpha_stderr`, …), alpha/beta,
    r_squared, mape (`LawFit.mean_relative_error`) and problem, which is empty where the parameters are identified.
    """
    rules = [rule for rule in COMPARED_RULES if rule.kind != "recalled" or "recalled_share" in fits.cells]
    choices = [(POWER, rule, "linear") for rule in rules]
    choices.append((POWER, DEFAULT, "huber"))
    choices += [(form, NONE, "linear") for form in FORMS.values() if form.saturates and form.needs is None]
    return pd.DataFrame([_row(fits, *choice) for choice in choices])


def _row(fits: Fits, form: Form, rule: Rule, loss: str) -> dict[str, object]:
    row: dict[str, object] = {"form": form.name, "rule": str(rule), "loss": loss}
    try:
        fit = fits.law(form, rule, loss)
    except TooFewCells:
        return {**row, "problem": "too few cells"}
    for name in ("alpha", "beta", "b"):
        row[name], row[f"{name}_stderr"] = fit.parameters.get(name, (None, None))
    row |= {"cells": len(fit.used), "alpha/beta": fit.exponent_ratio, "r_squared": fit.r_squared}
    return {**row, "mape": fit.mean_relative_error, "problem": "; ".join(fit.not_identified)}


def spread_of(rows: pd.DataFrame, name: str) -> tuple[float, float]:
    """Return the smallest and largest value of a parameter among the fits that identify it."""
    values = rows.loc[rows["problem"] == "", name].dropna()
    return float(values.min()), float(values.max())
