"""The few lines that the terminal shows of a part; everything else is on the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from memlaw_analysis.findings import Findings, Fitted
from memlaw_analysis.law.capacity import Capacity
from memlaw_analysis.recall.methods import Comparison
from memlaw_analysis.recall.transition import violations
from memlaw_analysis.report.method_sections import sentence
from memlaw_analysis.report.next_commands import next_commands
from memlaw_analysis.report.section import CAUTION, COMMAND, INFO, MISSING, PROBLEM, Section

_SYMBOLS = {"alpha": "α", "beta": "β", "gamma": "γ"}
_NO_BREAK = "\N{NO-BREAK SPACE}"
_CAPACITY = "capacity"
"""Slug of the section whose caution the line on capacity already gives."""

MOST_CAUTIONS = 2
MOST_DIFFERENCES = 3
MOST_RANKS = 3


@dataclass(frozen=True)
class Line:
    """A line of the summary.

    Attributes:
        topic: a word or two, shown once before the text.
        text: a sentence or a command.
        kind: a kind of `memlaw_analysis.report.section`.
    """

    topic: str
    text: str
    kind: str = INFO


def findings_summary(findings: Findings, sections: Sequence[Section], study: Path | None) -> list[Line]:
    """Sum up the law, capacity and recall of a condition, and name the command to run next.

    Args:
        findings: findings of the condition.
        sections: sections that the page shows of it; their cautions are repeated here.
        study: directory that commands add cells to; None for none.
    """
    lines = [*_law(findings), *_rivals(findings), *_capacity(findings), *_unintended(findings), *_recall(findings)]
    cautions = [
        text for section in sections if section.slug != _CAPACITY for kind, text in section.notes if kind == CAUTION
    ]
    lines += [Line("caution", text, CAUTION) for text in cautions[:MOST_CAUTIONS]]
    if len(cautions) > MOST_CAUTIONS:
        lines.append(Line("", f"and {len(cautions) - MOST_CAUTIONS} more on the page", CAUTION))
    if study and not findings.usable.nothing:
        commands = next_commands(findings, study)
        lines.append(Line("run next", commands[0], COMMAND))
        if len(commands) > 1:
            lines.append(Line("", f"and {len(commands) - 1} more on the page"))
    return lines


def _law(findings: Findings) -> list[Line]:
    if not findings.law:
        return [Line("law", f"none: {findings.missing['law']}", MISSING)]
    fit = findings.law.fit
    lines = [
        Line("law", f"ΔL = {fit.form.formula} on {len(fit.used)} unsaturated cells"),
        Line("", ", ".join(_parameter(name, *values) for name, values in fit.parameters.items())),
        Line("", f"R² = {fit.r_squared:.3f}, mean error {fit.mean_relative_error:.1%} of ΔL"),
    ]
    if fit.not_identified:
        lines.append(Line("", f"not identified: {fit.not_identified[0]}", PROBLEM))
    elif fit.exponent_ratio is not None:
        lines.append(Line("κ = α/β", _ratio(findings, findings.law)))
    return lines


def _parameter(name: str, value: float, stderr: float | None) -> str:
    uncertainty = "(held)" if stderr is None else f"± {stderr:.2g}"
    return f"{_SYMBOLS.get(name, name)} = {value:.3g} {uncertainty}".replace(" ", _NO_BREAK)


def _ratio(findings: Findings, law: Fitted) -> str:
    low, high = law.resampled.get("alpha/beta", (None, None))
    interval = "" if low is None else f" (95 %: {low:.3g} to {high:.3g})"
    collapse = f"; the collapse gives {findings.collapse.kappa:.3g}" if findings.collapse else ""
    return f"{law.fit.exponent_ratio:.3g}{interval}: rank r holds a length like r^κ{collapse}"


def _rivals(findings: Findings) -> list[Line]:
    rivals = findings.rivals
    if rivals is None:
        return []
    if rivals["error"].isna().all():
        return [Line("unseen cells", "too few cells to test any form on unseen ones", CAUTION)]
    form = findings.law.fit.form.name if findings.law else "power"
    best, law = rivals.iloc[0], rivals[rivals["form"] == form]["error"].iloc[0]
    if best["form"] == form:
        return [Line("unseen cells", f"the law predicts them best, off by {best['error']:.1%} of ΔL")]
    comparison = f"; the law is off by {law:.1%}" if pd.notna(law) else ""
    return [Line("unseen cells", f"{best['form']} predicts them best, off by {best['error']:.1%} of ΔL{comparison}")]


def _capacity(findings: Findings) -> list[Line]:
    if not findings.capacity:
        return [Line("capacity", f"unknown: {findings.missing['capacity']}", MISSING)] if findings.law else []
    effective = findings.effective_capacity
    beside = [Line("", _level(effective))] if effective else []
    return [Line("capacity", _level(findings.capacity)), *beside]


def _level(capacity: Capacity) -> str:
    if not capacity.reached:
        return f"at least {capacity.best:.2f} bits per {capacity.parameter}; no plateau yet"
    low, high = capacity.plateau_interval
    return f"{capacity.plateau:.2f} bits per {capacity.parameter} (95 %: {low:.2f} to {high:.2f}), a plateau"


def _unintended(findings: Findings) -> list[Line]:
    unintended = findings.unintended
    if not unintended:
        return []
    low, high = unintended.slope_interval
    levels = unintended.by_rank.head(MOST_RANKS)
    nats, ranks = (", ".join(f"{value:.0f}" for value in values) for values in (levels, levels.index))
    return [
        Line("beyond H", f"{nats} nats stored beyond the source at r = {ranks}"),
        Line("", f"they grow with the length like ℓ^{unintended.slope:.2f} (95 %: {low:.2f} to {high:.2f})"),
    ]


def _recall(findings: Findings) -> list[Line]:
    if not findings.tokens:
        return [Line("p > 0.5", f"not checked: {findings.missing['tokens']}", MISSING)]
    last, broken = findings.tokens.last, violations(findings.tokens.last)
    above = int((last["p"] > 0.5).sum())
    if len(broken):
        theorem = Line("p > 0.5", f"violated: {len(broken)} of {above} tokens with p > 0.5 are not the argmax", PROBLEM)
    elif above:
        theorem = Line("p > 0.5", f"holds: all {above} tokens with p > 0.5, of {len(last)}, are the argmax")
    else:
        theorem = Line("p > 0.5", "no token has p > 0.5")
    verbatim = int((findings.cells["exact_share"] == 1).sum())
    return [theorem, Line("recall", f"{verbatim} of {len(findings.cells)} cells are recalled verbatim")]


def methods_summary(comparison: Comparison) -> list[Line]:
    """Say by how much which method is better, where chance between seeds does not explain it."""
    clear = [entry for entry in comparison.differences if entry.differs]
    if not clear:
        return [Line("", "no difference that is larger than chance between seeds")]
    lines = [Line("", f"{entry.metric.title}: {sentence(entry)}") for entry in clear[:MOST_DIFFERENCES]]
    if len(clear) > MOST_DIFFERENCES:
        lines.append(Line("", f"and {len(clear) - MOST_DIFFERENCES} more on the page"))
    return lines
