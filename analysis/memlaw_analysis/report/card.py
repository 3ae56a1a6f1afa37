"""The fit card: what a reader needs to judge a fit and to repeat it.

Its fields follow the checklist of "(Mis)Fitting: A Survey of Scaling Laws" (arXiv 2502.18969).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from memlaw.study.conditions import PROTOCOL
from memlaw_analysis.findings import Findings
from memlaw_analysis.law.forms import FORMS
from memlaw_analysis.law.rivals import splits_of
from memlaw_analysis.law.uncertainty import DRAWS
from memlaw_analysis.pages.show import show
from memlaw_analysis.report.record import inputs_hash, versions

_PROTOCOL = (
    "method.name", *PROTOCOL, "optimizer.weight_decay", "optimizer.clip_norm",
    "lora.placement", "lora.scaling", "lora.lora_alpha", "lora.init", "lora.dropout", "lora.dtype",
    "lora.target_modules", "adapted_layers", "dtype",
    "stop.when_recalled", "data.random_ratio",
)  # fmt: skip


def card(findings: Findings) -> dict[str, str]:
    """Return the card of a condition: field → text."""
    cells = findings.cells
    protocol = [f"{name}={_values(cells, name)}" for name in _PROTOCOL if name in cells]
    lines = {
        "Condition": findings.title,
        "Data": f"{len(cells)} cells; ranks {_values(cells, 'lora.rank')}; lengths {_values(cells, 'target_tokens')} "
                f"target tokens; seeds {_values(cells, 'seed')}; L0 {cells['base_loss_nats'].min():.3f} to "
                f"{cells['base_loss_nats'].max():.3f} nats per token",
        "Protocol": "; ".join(protocol) or "not recorded",
        "Quantity": "ΔL = L0 − L, mean over target tokens, nats per token; after the last step",
    }  # fmt: skip
    if "model_fingerprint" in cells:
        lines["Model"] = (
            f"{_values(cells, 'model.name')}, weights {_values(cells, 'model_fingerprint')}, "
            f"commit {_values(cells, 'model_commit') if 'model_commit' in cells else '–'}"
        )
    if left_out := list(findings.usable.cautions()):
        lines["Left out"] = "; ".join(left_out)
    if findings.law:
        lines |= _fit_lines(findings)
    else:
        lines["Fit"] = f"none: {findings.missing['law']}"
    lines["Versions"] = ", ".join(f"{name} {number}" for name, number in versions().items())
    lines["Inputs"] = f"SHA-256 {inputs_hash(cells)} of rank, length, seed, L0, ΔL and N of every cell"
    return lines


def _fit_lines(findings: Findings) -> dict[str, str]:
    assert findings.law is not None
    assert findings.rivals is not None
    fit = findings.law.fit
    starts = int(np.prod([len(values) for values in FORMS[fit.form.name].starts.values()]))
    p = {name: show(value, "{:.4g}") for name, value in fit.values.items()}
    error = findings.rivals[findings.rivals["form"] == fit.form.name]["error"].iloc[0]
    ranked = findings.rivals[findings.rivals["error"].notna()]
    tested = ", ".join(name for name in splits_of(ranked) if ranked[name].notna().all())
    unseen = "too few cells to tell" if pd.isna(error) else f"{100 * error:.1f} % of ΔL on average over {tested}"
    return {
        "Cells used": f"{len(fit.used)}; excluded: {_names(fit.excluded)} (rule: {fit.rule})",
        "Form": f"ΔL = {fit.form.formula}",
        "Result": ", ".join(f"{name} = {value}" for name, value in p.items())
                  + f"; R² = {fit.r_squared:.4f} on ΔL, mean error {fit.mean_relative_error:.1%} of ΔL"
                  + ("" if not fit.not_identified else "; NOT IDENTIFIED: " + "; ".join(fit.not_identified)),
        "Objective": "least squares on ΔL, every cell with the same weight; for other choices see sensitivity",
        "Optimizer": f"Levenberg–Marquardt (lmfit, MINPACK), {starts} starts, C from the data; |b| ≤ largest L0, "
                     "0 ≤ α, β ≤ 5",
        "Uncertainty": f"standard errors from the covariance; profile likelihood, 95 %; bootstrap over grid points and "
                       f"their seeds, {findings.law.draws} of {DRAWS} draws fitted, seed 0",
        "Assumed": "noise is independent from cell to cell and equal in nats; cells of one seed share the beginning "
                   "of their text at all lengths, which no interval accounts for",
        "Error on unseen cells": unseen,
    }  # fmt: skip


def _values(cells: pd.DataFrame, name: str) -> str:
    distinct = sorted(cells[name].dropna().unique().tolist(), key=lambda value: (str(type(value)), value))
    words = [f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
             for value in distinct]  # fmt: skip
    return ", ".join(words[:20]) + (", …" if len(words) > 20 else "") or "–"


def _names(cells: pd.DataFrame) -> str:
    if cells.empty:
        return "none"
    return f"{len(cells)}: " + ", ".join(
        f"({r:g}, {l:g})" for r, l in sorted(set(zip(cells["lora.rank"], cells["target_tokens"], strict=True)))
    )


def markdown(lines: Mapping[str, str]) -> str:
    """Return the card as Markdown."""
    return "\n".join(["# Fit card", "", *(f"- **{name}**: {text}" for name, text in lines.items()), ""])
