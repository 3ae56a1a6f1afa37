"""Sections on the law: cells, parameters, sensitivity, rival forms."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from memlaw_analysis.findings import Findings, Fitted
from memlaw_analysis.law.forms import POWER
from memlaw_analysis.law.residuals import Residuals
from memlaw_analysis.law.rivals import splits_of
from memlaw_analysis.law.saturation import DEFAULT
from memlaw_analysis.law.sensitivity import spread_of
from memlaw_analysis.law.uncertainty import DRAWS, Interval
from memlaw_analysis.pages.show import show
from memlaw_analysis.report.next_commands import longer_command
from memlaw_analysis.report.section import CAUTION, COMMAND, INFO, MISSING, PROBLEM, Section


def cells_section(findings: Findings) -> Section:
    """List the cells, how many are saturated, and which no fit can use."""
    shown = {
        "target_tokens": ("ℓ", "{:.0f}"), "lora.rank": ("rank", "{:.0f}"), "seed": ("seed", "{:.0f}"),
        "base_loss_nats": ("L0", "{:.3f}"), "loss_nats": ("L", "{:.3f}"), "delta_loss_nats": ("ΔL", "{:.3f}"),
        "recalled_share": ("p > 0.5", "{:.1%}"), "first_stubborn": ("stubborn from", "{:.0f}"),
        "first_wrong_share": ("before the first error", "{:.1%}"), "bits_per_parameter": ("bits/par", "{:.3f}"),
        "bits_per_effective_parameter": ("bits/eff. par", "{:.3f}"),
        "steps_trained": ("steps", "{:.0f}"),
    }  # fmt: skip
    names = [name for name in shown if name in findings.cells]
    table = findings.cells[names].rename(columns={name: shown[name][0] for name in names})
    out = int(DEFAULT.excludes(findings.usable.cells).sum())
    note = f"{len(table)} cells; {out} are saturated ({DEFAULT}), so the law is not fitted to them."
    notes = ((INFO, note), *((CAUTION, caution) for caution in findings.usable.cautions()))
    figures = ("loss", "exact") if "exact_share" in findings.cells else ("loss",)
    return Section("cells", "Cells", table, {shown[n][0]: shown[n][1] for n in names}, notes, figures)


def law_section(findings: Findings, study: Path | None) -> Section:
    """Show the fitted parameters with their uncertainty, and what limits them."""
    title = f"The law ΔL = {findings.law.fit.form.formula if findings.law else POWER.formula}"
    if not findings.law:
        notes = [(MISSING, findings.missing["law"])]
        if study and not findings.usable.nothing:
            notes.append((COMMAND, longer_command(findings, study)))
        return Section("law", title, notes=tuple(notes), figures=("law",))
    fit = findings.law.fit
    notes = [
        (INFO, f"Least squares on {len(fit.used)} cells; {len(fit.excluded)} saturated ones ({fit.rule}) left out. "
               f"R² = {fit.r_squared:.4f} on ΔL, {fit.r_squared_log:.4f} on ln ΔL; mean error "
               f"{fit.mean_relative_error:.1%} of ΔL."),
        *((PROBLEM, problem) for problem in fit.not_identified),
    ]  # fmt: skip
    if fit.not_identified:
        notes.append((PROBLEM, "C, alpha, beta and b mean nothing by themselves here. Add unsaturated cells, at longer "
                               "lengths or smaller ranks."))  # fmt: skip
        if study:
            notes.append((COMMAND, longer_command(findings, study)))
    notes += [(CAUTION, caution) for caution in fit.cautions]
    if not findings.law.resampled:
        notes.append((CAUTION, f"no bootstrap interval: only {findings.law.draws} of {DRAWS} draws could be fitted"))
    notes.append((INFO, _residuals(findings.law.residuals)))
    if findings.law.residuals.systematic:
        notes.append((CAUTION, "the residuals are systematic: the form misses a pattern that is not noise"))
    formats = {"value": "{:.4g}", "standard error": "{:.2g}"}
    figures = ("law", "prediction", "residuals", "models")
    return Section("law", title, _parameters(findings.law), formats, tuple(notes), figures)


def _residuals(residuals: Residuals) -> str:
    """Say how large the residuals are, and what tests say of them."""
    rank, length, share = residuals.worst_cell
    tests = {
        "curvature": residuals.curvature_p,
        "lack of fit": residuals.lack_of_fit_p,
        "normality": residuals.normality_p,
    }
    p_values = ", ".join(f"{name} {p:.2g}" for name, p in tests.items() if np.isfinite(p))
    seeds = f"; seeds of a cell differ by {residuals.noise_nats:.2g} nats" if np.isfinite(residuals.noise_nats) else ""
    return (
        f"Residuals: {residuals.rms_nats:.2g} nats rms; the largest is {share:+.1f} % at r = {rank:g}, ℓ = {length:g}"
        f"{seeds}." + (f" p-values: {p_values}." if p_values else "")
    )


def _parameters(fitted: Fitted) -> pd.DataFrame:
    rows = []
    for name, (value, stderr) in fitted.fit.parameters.items():
        rows.append(
            {
                "": name,
                "value": value,
                "standard error": stderr if fitted.fit.result.params[name].vary else "held",
                "profile 95 %": _interval(fitted.profile, name),
                "bootstrap 95 %": _interval(fitted.resampled, name),
            }
        )
    if fitted.fit.exponent_ratio is not None:
        ratio = {"": "α/β", "value": fitted.fit.exponent_ratio}
        rows.append({**ratio, "bootstrap 95 %": _interval(fitted.resampled, "alpha/beta")})
    return pd.DataFrame(rows)


def _interval(intervals: Mapping[str, Interval], name: str) -> str | None:
    if name not in intervals:
        return None
    low, high = (f"{side:.3g}" if np.isfinite(side) else "open" for side in intervals[name])
    return f"{low} to {high}"


def sensitivity_section(findings: Findings) -> Section:
    """Show the exponents under other forms, saturation rules and losses."""
    title = "How much the exponents depend on choices of the fit"
    rows = findings.sensitivity
    if rows is None:
        return Section("sensitivity", title, notes=((MISSING, findings.missing["law"]),))
    table = pd.DataFrame(
        {
            "form": rows["form"], "left out": rows["rule"], "loss": rows["loss"], "cells": rows["cells"],
            **{name: [_with_error(row, name) for row in rows.to_dict("records")] for name in ("alpha", "beta", "b")},
            "α/β": rows["alpha/beta"], "R²": rows["r_squared"], "mean error": rows["mape"],
            "identified": _identified(rows),
        }
    )  # fmt: skip
    notes = []
    if (rows["problem"] == "").any():
        ranges = [f"{name} {low:.2f} to {high:.2f}" for name in ("alpha", "beta", "alpha/beta")
                  for low, high in [spread_of(rows, name)]]  # fmt: skip
        notes.append((INFO, f"Over the fits that identify them: {', '.join(ranges)}."))
    else:
        notes.append((PROBLEM, "none of these fits identifies the exponents"))
    formats = {"cells": "{:.0f}", "α/β": "{:.3f}", "R²": "{:.4f}", "mean error": "{:.1%}"}
    return Section("sensitivity", title, table, formats, tuple(notes), ())


def _identified(rows: pd.DataFrame) -> list[str]:
    """ "yes", or "no" with the reason, for each fit."""
    return [f"no: {problem}" if problem else "yes" for problem in rows["problem"]]


def _with_error(row: Mapping[str, object], name: str) -> str:
    return show(row.get(name), "{:.3f}") + (
        "" if pd.isna(row.get(f"{name}_stderr")) else f" ± {row[f'{name}_stderr']:.2f}"
    )


def rivals_section(findings: Findings) -> Section:
    """Rank the forms by their error on cells left out of the fit."""
    title = "Rival laws, ranked by their error on unseen cells"
    if findings.rivals is None:
        return Section("rivals", title, notes=((MISSING, findings.missing["law"]),))
    rivals, splits = findings.rivals, splits_of(findings.rivals)
    percent = {name: f"{name}, %" for name in splits}
    table = rivals[["form", "cells", "r_squared", "mape", "alpha/beta", "aicc", *splits]].copy()
    table[splits] *= 100
    table = table.rename(
        columns={**percent, "r_squared": "R²", "mape": "mean error", "alpha/beta": "α/β", "aicc": "AICc"}
    )
    table = table.assign(identified=_identified(rivals), formula=rivals["formula"])
    notes = [(INFO, "Errors are means of |predicted/true − 1|: the mean error over the cells fitted, the columns after "
                    "AICc over cells held out. AICc compares forms on the same cells only.")]  # fmt: skip
    if rivals["error"].notna().any():
        best, law = rivals.iloc[0], rivals[rivals["form"] == "power"]["error"].iloc[0]
        beside = f", the paper's law by {100 * law:.1f} %" if best["form"] != "power" and pd.notna(law) else ""
        notes.append((INFO, f"Unseen cells are predicted best by {best['form']} ({best['formula']}): off by "
                            f"{100 * best['error']:.1f} % on average{beside}."))  # fmt: skip
    untested = rivals[rivals["error"].isna()]["form"].tolist()
    if untested:
        notes.append((CAUTION, f"too few cells to test these forms on unseen ones: {', '.join(untested)}"))
    formats = {"cells": "{:.0f}", "R²": "{:.4f}", "mean error": "{:.1%}", "α/β": "{:.3f}", "AICc": "{:.1f}"}
    formats |= dict.fromkeys(percent.values(), "{:.1f}")
    figures = ("surface", "collapse")
    return Section("rivals", title, table, formats, tuple(notes), figures)
