"""What a report says of a condition, section by section: headings, tables, sentences and names of figures.

The terminal and the page show the same sections; here is the only place that words them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.capacity import LITERATURE, RISING
from analysis.command import command
from analysis.findings import Findings, Fitted, Tokens
from analysis.forms import POWER
from analysis.next_cells import longer, most_informative
from analysis.rivals import splits_of
from analysis.saturation import DEFAULT
from analysis.sensitivity import spread_of
from analysis.transition import decoupled, lucky_share, violations
from analysis.uncertainty import DRAWS, Interval

INFO, CAUTION, PROBLEM, MISSING = "", "caution", "not identified", "missing"


@dataclass(frozen=True)
class Section:
    """One part of a report.

    Attributes:
        slug, title: its name in links, and as people read it.
        table: its table, raw values under their headings; None has none.
        formats: heading → format of its numbers, e.g. `{:.2f}`; others are shown as they are.
        notes: (kind, sentence); kind is one of INFO, CAUTION, PROBLEM, MISSING or another word to stress.
        figures: names of its figures.
        brief: whether the terminal shows its table.
    """

    slug: str
    title: str
    table: pd.DataFrame | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()
    figures: tuple[str, ...] = ()
    brief: bool = False


def show(value: object, form: str | None) -> str:
    """A table's value as text; a dash for nothing."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return "–"
    return form.format(value) if form and not isinstance(value, str) else str(value)


def sections(found: Findings, study: Path | None) -> list[Section]:
    """All sections of a condition.

    Args:
        found: its findings.
        study: directory of the study, for commands; None when there is none to add cells to.
    """
    parts = [_cells(found), _law(found, study), _sensitivity(found), _rivals(found), _capacity(found, study)]
    if found.tokens:
        parts += [_transition(found.tokens), _recall(found, found.tokens)]
    else:
        said = found.missing["tokens"]
        parts.append(Section("transition", "The p > 0.5 transition", notes=((MISSING, said),)))
    parts += _side_effects(found.cells)
    return [*parts, _next(found, study)] if study else parts


def _cells(found: Findings) -> Section:
    shown = {
        "target_tokens": ("ℓ", "{:.0f}"), "lora.rank": ("rank", "{:.0f}"), "seed": ("seed", "{:.0f}"),
        "base_loss_nats": ("L0", "{:.3f}"), "loss_nats": ("L", "{:.3f}"), "delta_loss_nats": ("ΔL", "{:.3f}"),
        "recalled_share": ("p > 0.5", "{:.1%}"), "first_stubborn": ("stubborn from", "{:.0f}"),
        "first_wrong_share": ("comes back", "{:.1%}"), "bits_per_parameter": ("bits/par", "{:.3f}"),
        "steps_trained": ("steps", "{:.0f}"),
    }  # fmt: skip
    names = [name for name in shown if name in found.cells]
    table = found.cells[names].rename(columns={name: shown[name][0] for name in names})
    out = int(DEFAULT.excludes(found.usable.cells).sum())
    note = f"{len(table)} cells; {out} are saturated ({DEFAULT}) and say nothing about the law."
    notes = ((INFO, note), *((CAUTION, said) for said in found.usable.cautions()))
    figures = ("loss", "exact") if "exact_share" in found.cells else ("loss",)
    return Section("cells", "Cells", table, {shown[n][0]: shown[n][1] for n in names}, notes, figures, True)


def _law(found: Findings, study: Path | None) -> Section:
    title = f"The law ΔL = {found.law.fit.form.formula if found.law else POWER.formula}"
    if not found.law:
        notes = [(MISSING, found.missing["law"])]
        if study and not found.usable.nothing:
            notes.append((MISSING, _longer(found, study)))
        return Section("law", title, notes=tuple(notes), figures=("law",), brief=True)
    fit, left = found.law.fit, found.law.residuals
    notes = [
        (INFO, f"Least squares on {len(fit.used)} cells; {len(fit.excluded)} saturated ones ({fit.rule}) left out. "
               f"R² = {fit.r_squared:.4f} on ΔL, {fit.r_squared_log:.4f} on ln ΔL."),
        *((PROBLEM, problem) for problem in fit.not_identified),
    ]  # fmt: skip
    if fit.not_identified:
        notes.append((PROBLEM, "C, alpha, beta and b mean nothing by themselves here. Add unsaturated cells: longer "
                               "lengths, smaller ranks."))  # fmt: skip
        if study:
            notes.append((PROBLEM, _longer(found, study)))
    notes += [(CAUTION, caution) for caution in fit.cautions]
    if not found.law.resampled:
        notes.append((CAUTION, f"no bootstrap interval: only {found.law.draws} of {DRAWS} draws could be fitted"))
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
    return Section("law", title, _parameters(found.law), formats, tuple(notes), figures, True)


def _longer(found: Findings, study: Path) -> str:
    """The command that trains cells which would be unsaturated."""
    cells = found.usable.cells
    return command(found.cells, study, *longer(cells, DEFAULT.excludes(cells)))


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


def _sensitivity(found: Findings) -> Section:
    title = "How much the exponents depend on the way of fitting"
    if found.ways is None:
        return Section("sensitivity", title, notes=((MISSING, found.missing["law"]),))
    ways = found.ways
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
    return Section("sensitivity", title, table, formats, tuple(notes), (), True)


def _with_error(row: Mapping[str, object], name: str) -> str:
    return show(row.get(name), "{:.3f}") + (
        "" if pd.isna(row.get(f"{name}_stderr")) else f" ± {row[f'{name}_stderr']:.2f}"
    )


def _rivals(found: Findings) -> Section:
    title = "Rival laws, by their error on cells that they have not seen"
    if found.rivals is None:
        return Section("rivals", title, notes=((MISSING, found.missing["law"]),))
    rivals, splits = found.rivals, splits_of(found.rivals)
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
    return Section("rivals", title, table, formats, tuple(notes), figures, True)


def _capacity(found: Findings, study: Path | None) -> Section:
    title, held = "Capacity in bits", found.capacity
    if not held:
        return Section("capacity", title, notes=((MISSING, found.missing["capacity"]),))
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
            cells = found.usable.cells
            ranks, lengths = longer(cells, pd.Series(False, index=cells.index))
            notes.append((MISSING, command(found.cells, study, ranks[:1], lengths)))
    rows = held.loads.groupby("lora.rank").agg(
        cells=("load", "size"), load=("load", "max"), bits=("bits_per_parameter", "max")
    )
    table = rows.reset_index().set_axis(["rank", "cells", "largest load", "most bits per parameter"], axis=1)
    formats = {"rank": "{:g}", "largest load": "{:.2f}", "most bits per parameter": "{:.3f}"}
    return Section("capacity", title, table, formats, tuple(notes), ("bits",))


def _transition(tokens: Tokens) -> Section:
    last, failures = tokens.last, tokens.failures
    notes = [(INFO, f"{len(last)} tokens of {last['cell'].nunique()} cells.")]
    broken = violations(last)
    if len(broken):
        listed = ", ".join(sorted(broken["cell"].unique()))
        said = (
            f"{len(broken)} tokens have p > 0.5 and another argmax: {listed}. Beyond ties in rounding no distribution "
        )
        notes.append((CAUTION, f"{said}allows that, so these token tables are not to be trusted"))
    else:
        notes.append((INFO, "Every token with p > 0.5 is the argmax."))
    lucky = lucky_share(last)
    if not np.isnan(lucky):
        notes.append((INFO, f"Of the tokens that are the argmax, {lucky:.1%} are so at p ≤ 0.5."))
    gap = failures["first_wrong"] - failures["first_stubborn"]
    order = f"in {int((gap > 0).sum())} of {len(failures)} pairs, and before it in {int((gap < 0).sum())}"
    notes.append((INFO, f"The first wrong argmax comes after the first p ≤ 0.5 {order}."))
    table = tokens.transition.set_axis(["p from", "p to", "tokens", "share that is the argmax"], axis=1)
    formats = {"p from": "{:.2f}", "p to": "{:.2f}", "share that is the argmax": "{:.1%}"}
    return Section("transition", "The p > 0.5 transition", table, formats, tuple(notes), ("transition", "failures"))


def _recall(found: Findings, tokens: Tokens) -> Section:
    names = decoupled(tokens.last)
    notes = [(INFO, f"{int((found.cells['exact_share'] == 1).sum())} of {len(found.cells)} cells come back to the end, "
                    "as teacher forcing predicts greedy decoding."), *_decoded(found.cells)]  # fmt: skip
    table = None
    if names:
        notes.append((INFO, f"{len(names)} cells have a mean loss below ln 2 and do not come back to the end all the "
                            "same: a low mean loss hides the few tokens that break a text."))  # fmt: skip
        chosen = found.cells[found.cells["cell"].isin(names)]
        table = chosen[["target_tokens", "lora.rank", "seed", "loss_nats", "recalled_share", "first_wrong_share"]]
        table = table.set_axis(["ℓ", "rank", "seed", "L", "p > 0.5", "comes back"], axis=1)
    formats = {"L": "{:.3f}", "p > 0.5": "{:.1%}", "comes back": "{:.1%}"}
    figures = ("recall", "positions", "probability", "curves")
    return Section("recall", "Recall, and how it comes", table, formats, tuple(notes), figures)


def _decoded(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """What decoding from the query alone brought back, beside its prediction, its bound, and the base model's."""
    if "recall_exact_share" not in cells or cells["recall_exact_share"].isna().all():
        return [(MISSING, "no cell was decoded (`eval.recall.greedy`)")]
    own = cells[cells["recall_exact_share"].notna()]
    unlike, broken = int(own["recall_unlike_predicted"].sum()), own[own["recall_order_violations"] > 0]
    notes = [
        (INFO, f"Decoded from the query alone, {int((own['recall_exact_share'] == 1).sum())} of {len(own)} cells come "
               f"back exactly; {unlike} of {int(own['pairs'].sum())} pairs fail elsewhere than predicted. The base "
               f"model without an adapter brings back {own['control_exact_share'].mean():.1%} of the pairs and "
               f"{own['control_token_accuracy'].mean():.1%} of the tokens.")
    ]  # fmt: skip
    if len(broken):
        listed = ", ".join(
            f"{cell} ({count:g})" for cell, count in zip(broken["cell"], broken["recall_order_violations"], strict=True)
        )
        notes.append((CAUTION, f"pairs break off before their first p ≤ 0.5: {listed}. That cannot happen when teacher "
                               "forcing and decoding compute the same function, so for this model they do not, or "
                               "probabilities tie in rounding."))  # fmt: skip
    by_rows = int((own["recall_decoding"] == "rows").sum()) if "recall_decoding" in own else 0
    if by_rows:
        notes.append((CAUTION, f"{by_rows} of {len(own)} cells were decoded by whole rows: with a KV cache their model "
                               "computes something else, and so will `generate` with their adapters."))  # fmt: skip
    if "sample_exact_share" in own and own["sample_exact_share"].notna().any():
        notes.append((INFO, f"Sampled, {own['sample_exact_share'].mean():.1%} of the pairs come back exactly."))
    return notes


def _side_effects(cells: pd.DataFrame) -> list[Section]:
    """What the memories cost on held-out text; no section where that was not measured."""
    if "forgetting_nats" not in cells or cells["forgetting_nats"].isna().all():
        return []
    own = cells[cells["forgetting_nats"].notna()]
    cost = own["forgetting_nats"]
    said = (
        f"On held-out ordinary text the loss goes from {own['base_held_out_loss_nats'].mean():.3f} nats to "
        f"{own['held_out_loss_nats'].mean():.3f} on average over {len(own)} cells ({cost.min():+.3f} to "
        f"{cost.max():+.3f})."
    )
    table = own.groupby("lora.rank")[["forgetting_nats", "held_out_loss_nats"]].mean().reset_index()
    table = table.set_axis(["rank", "forgetting (nats)", "held-out loss (nats)"], axis=1)
    formats = {"rank": "{:g}", "forgetting (nats)": "{:+.3f}", "held-out loss (nats)": "{:.3f}"}
    return [Section("side-effects", "What the memory costs elsewhere", table, formats, ((INFO, said),))]


def _next(found: Findings, study: Path) -> Section:
    title = "Which cells to run next"
    fit = found.saturating
    if found.usable.nothing:
        return Section("next", title, notes=((MISSING, found.usable.nothing),))
    if not fit or fit.not_identified:
        return Section("next", title, notes=((INFO, _longer(found, study)),))
    gradient = np.array([float(name == "alpha") for name in fit.result.var_names])
    chosen = most_informative(fit, found.usable.cells, gradient)
    commands = {command(found.cells, study, [rank], [length]) for rank, length in chosen}
    said = "These cells would narrow α most, per token trained (in the saturating form):"
    return Section("next", title, notes=((INFO, said), *((INFO, text) for text in sorted(commands))))
