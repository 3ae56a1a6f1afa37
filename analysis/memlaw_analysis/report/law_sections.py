"""Sections on the law: cells, parameters, ways of fitting, rival forms, capacity."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from memlaw_analysis.advice.command import command
from memlaw_analysis.advice.next_cells import longer
from memlaw_analysis.findings import Findings, Fitted
from memlaw_analysis.law.capacity import LITERATURE, RISING
from memlaw_analysis.law.forms import POWER
from memlaw_analysis.law.rivals import splits_of
from memlaw_analysis.law.saturation import DEFAULT
from memlaw_analysis.law.sensitivity import spread_of
from memlaw_analysis.law.uncertainty import DRAWS, Interval
from memlaw_analysis.report.next_commands import longer_command
from memlaw_analysis.report.section import CAUTION, COMMAND, INFO, MISSING, PROBLEM, Section, show


def cells_section(findings: Findings) -> Section:
    """List the cells, how many are saturated, and which no fit can use."""
    shown = {
        "target_tokens": ("ℓ", "{:.0f}"), "lora.rank": ("rank", "{:.0f}"), "seed": ("seed", "{:.0f}"),
        "base_loss_nats": ("L0", "{:.3f}"), "loss_nats": ("L", "{:.3f}"), "delta_loss_nats": ("ΔL", "{:.3f}"),
        "recalled_share": ("p > 0.5", "{:.1%}"), "first_stubborn": ("stubborn from", "{:.0f}"),
        "first_wrong_share": ("before the first error", "{:.1%}"), "bits_per_parameter": ("bits/par", "{:.3f}"),
        "steps_trained": ("steps", "{:.0f}"),
    }  # fmt: skip
    names = [name for name in shown if name in findings.cells]
    table = findings.cells[names].rename(columns={name: shown[name][0] for name in names})
    out = int(DEFAULT.excludes(findings.usable.cells).sum())
    note = f"{len(table)} cells; {out} are saturated ({DEFAULT}) and say nothing about the law."
    notes = ((INFO, note), *((CAUTION, said) for said in findings.usable.cautions()))
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
    fit, left = findings.law.fit, findings.law.residuals
    notes = [
        (INFO, f"Least squares on {len(fit.used)} cells; {len(fit.excluded)} saturated ones ({fit.rule}) left out. "
               f"R² = {fit.r_squared:.4f} on ΔL, {fit.r_squared_log:.4f} on ln ΔL."),
        *((PROBLEM, problem) for problem in fit.not_identified),
    ]  # fmt: skip
    if fit.not_identified:
        notes.append((PROBLEM, "C, alpha, beta and b mean nothing by themselves here. Add unsaturated cells: longer "
                               "lengths, smaller ranks."))  # fmt: skip
        if study:
            notes.append((COMMAND, longer_command(findings, study)))
    notes += [(CAUTION, caution) for caution in fit.cautions]
    if not findings.law.resampled:
        notes.append((CAUTION, f"no bootstrap interval: only {findings.law.draws} of {DRAWS} draws could be fitted"))
    rank, length, share = left.worst_cell
    noise, curvature, lack, normality = (
        show(value, "{:.2g}") for value in (left.noise_nats, left.curvature_p, left.lack_of_fit_p, left.normality_p)
    )
    residuals = (
        f"Residuals: {left.rms_nats:.2g} nats rms; the largest is {share:+.1f} % at r = {rank:g}, ℓ = {length:g}; "
        f"seeds of a cell differ by {noise} nats. p-values: curvature {curvature}, lack of fit {lack}, "
        f"normality {normality}."
    )
    notes.append((INFO, residuals))
    if left.systematic:
        notes.append((CAUTION, "the residuals are systematic: the form misses something that is not noise"))
    formats = {"value": "{:.4g}", "standard error": "{:.2g}"}
    figures = ("law", "prediction", "residuals", "models")
    return Section("law", title, _parameters(findings.law), formats, tuple(notes), figures)


def _parameters(fitted: Fitted) -> pd.DataFrame:
    rows = []
    for name, (value, stderr) in fitted.fit.parameters.items():
        held = not fitted.fit.result.params[name].vary
        rows.append(
            {
                "": name,
                "value": value,
                "standard error": "held" if held else stderr,
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
    title = "How much the exponents depend on the way of fitting"
    if findings.ways is None:
        return Section("sensitivity", title, notes=((MISSING, findings.missing["law"]),))
    ways = findings.ways
    table = pd.DataFrame(
        {
            "form": ways["form"], "left out": ways["rule"], "loss": ways["loss"], "cells": ways["cells"],
            **{name: [_with_error(row, name) for row in ways.to_dict("records")] for name in ("alpha", "beta", "b")},
            "α/β": ways["alpha/beta"], "R²": ways["r_squared"],
            "identified": np.where(ways["problem"] == "", "yes", "no"), "problem": ways["problem"],
        }
    )  # fmt: skip
    notes = []
    if (ways["problem"] == "").any():
        ranges = [f"{name} {low:.2f} to {high:.2f}" for name in ("alpha", "beta", "alpha/beta")
                  for low, high in [spread_of(ways, name)]]  # fmt: skip
        notes.append((INFO, f"Over the ways that identify them: {', '.join(ranges)}."))
    else:
        notes.append((PROBLEM, "no way of fitting identifies the exponents"))
    formats = {"cells": "{:.0f}", "α/β": "{:.3f}", "R²": "{:.4f}"}
    return Section("sensitivity", title, table, formats, tuple(notes), ())


def _with_error(row: Mapping[str, object], name: str) -> str:
    return show(row.get(name), "{:.3f}") + (
        "" if pd.isna(row.get(f"{name}_stderr")) else f" ± {row[f'{name}_stderr']:.2f}"
    )


def rivals_section(findings: Findings) -> Section:
    """Rank the forms by their error on cells left out of the fit."""
    title = "Rival laws, by their error on cells that they have not seen"
    if findings.rivals is None:
        return Section("rivals", title, notes=((MISSING, findings.missing["law"]),))
    rivals, splits = findings.rivals, splits_of(findings.rivals)
    percent = {name: f"{name}, %" for name in splits}
    table = rivals[["form", "cells", "r_squared", "alpha/beta", "aicc", *splits, "problem", "formula"]].copy()
    table.insert(5 + len(splits), "identified", np.where(rivals["problem"] == "", "yes", "no"))
    table[splits] *= 100
    table = table.rename(columns={**percent, "r_squared": "R²", "alpha/beta": "α/β", "aicc": "AICc"})
    notes = [(INFO, "Errors are means of |predicted/true − 1| over held-out cells; AICc compares forms on the same "
                    "cells only.")]  # fmt: skip
    if rivals["error"].notna().any():
        best, law = rivals.iloc[0], rivals[rivals["form"] == "power"]["error"].iloc[0]
        beside = f", the paper's law by {100 * law:.1f} %" if best["form"] != "power" and pd.notna(law) else ""
        notes.append((INFO, f"Unseen cells are predicted best by {best['form']} ({best['formula']}): off by "
                            f"{100 * best['error']:.1f} % on average{beside}."))  # fmt: skip
    untested = rivals[rivals["error"].isna()]["form"].tolist()
    if untested:
        notes.append((CAUTION, f"too few cells to test on unseen ones: {', '.join(untested)}"))
    formats = {"cells": "{:.0f}", "R²": "{:.4f}", "α/β": "{:.3f}", "AICc": "{:.1f}"}
    formats |= dict.fromkeys(percent.values(), "{:.1f}")
    figures = ("surface", "collapse")
    return Section("rivals", title, table, formats, tuple(notes), figures)


def capacity_section(findings: Findings, study: Path | None) -> Section:
    """Show bits per parameter over the load, and whether they level off."""
    title, held = "Capacity in bits", findings.capacity
    if not held:
        return Section("capacity", title, notes=((MISSING, findings.missing["capacity"]),))
    best = held.loads.loc[held.loads["bits_per_parameter"].idxmax()]
    low, high = held.slope_interval
    sure = f"95 % interval {low:.2f} to {high:.2f}" if np.isfinite(low) else "interval not known"
    notes = [(INFO, f"The most is {held.best:.2f} bits per trainable parameter, at r = {best['lora.rank']:g}, "
                    f"ℓ = {best['target_tokens']:g}. Literature: "
                    + "; ".join(f"{level:g} for {what}" for what, level in LITERATURE.items()) + ".")]  # fmt: skip
    if held.reached:
        sides = held.plateau_interval
        notes.append((INFO, f"They level off at {held.plateau:.2f} bits per parameter (95 % interval {sides[0]:.2f} to "
                            f"{sides[1]:.2f})."))  # fmt: skip
    else:
        notes.append((CAUTION, "no plateau within the measured loads: bits per parameter still go like load^"
                               f"{held.slope:.2f} ({sure}; a plateau would need less "
                               f"than {RISING}), so the most is a lower bound"))  # fmt: skip
        if study:
            cells = findings.usable.cells
            ranks, lengths = longer(cells, pd.Series(False, index=cells.index))
            notes.append((COMMAND, command(findings.cells, study, ranks[:1], lengths)))
    rows = held.loads.groupby("lora.rank").agg(
        cells=("load", "size"), load=("load", "max"), bits=("bits_per_parameter", "max")
    )
    table = rows.reset_index().set_axis(["rank", "cells", "largest load", "most bits per parameter"], axis=1)
    formats = {"rank": "{:g}", "largest load": "{:.2f}", "most bits per parameter": "{:.3f}"}
    return Section("capacity", title, table, formats, tuple(notes), ("bits",))
