"""How much the exponents depend on which cells are fitted and how saturation is treated."""

import pandas as pd

from analysis.forms import FORMS, POWER
from analysis.law import TooFewCells, fit_law
from analysis.saturation import DEFAULT, NONE, Rule

RULES = (
    NONE,
    Rule("delta_loss", 0.95),
    Rule("delta_loss", 0.9),
    DEFAULT,
    Rule("delta_loss", 0.8),
    Rule("recalled", 0.9),
)


def sensitivity(table: pd.DataFrame) -> pd.DataFrame:
    """A row per way to fit: the law under several rules, robustly, and the saturating forms on all cells.

    Columns: form, rule, loss, cells, alpha, beta, b, their standard errors (`alpha_stderr`, …), alpha/beta,
    r_squared and problem, which is empty when the parameters are identified.
    """
    rules = [rule for rule in RULES if rule.kind != "recalled" or "recalled_share" in table]
    ways = [(POWER, rule, "linear") for rule in rules]
    ways.append((POWER, DEFAULT, "huber"))
    ways += [(form, NONE, "linear") for form in FORMS.values() if form.saturates and form.size is None]
    rows = []
    for form, rule, loss in ways:
        row: dict[str, object] = {"form": form.name, "rule": str(rule), "loss": loss}
        try:
            fitted = fit_law(table, form, rule, loss)
        except TooFewCells:
            rows.append({**row, "problem": "too few cells"})
            continue
        for name in ("alpha", "beta", "b"):
            row[name], row[f"{name}_stderr"] = fitted.parameters.get(name, (None, None))
        row |= {"cells": len(fitted.used), "alpha/beta": fitted.exponent_ratio, "r_squared": fitted.r_squared}
        rows.append({**row, "problem": "; ".join(fitted.not_identified)})
    return pd.DataFrame(rows)


def spread_of(rows: pd.DataFrame, name: str) -> tuple[float, float]:
    """Smallest and largest value of a parameter among the ways that identify it."""
    values = rows.loc[rows["problem"] == "", name].dropna()
    return float(values.min()), float(values.max())
