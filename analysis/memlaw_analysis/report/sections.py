"""All sections of a condition, in the order in which the page shows them."""

from pathlib import Path

from memlaw_analysis.findings import Findings
from memlaw_analysis.report.capacity_section import capacity_section
from memlaw_analysis.report.law_sections import cells_section, law_section, rivals_section, sensitivity_section
from memlaw_analysis.report.next_commands import has_exponents, next_commands
from memlaw_analysis.report.recall_sections import recall_section, side_effect_sections, transition_section
from memlaw_analysis.report.section import COMMAND, INFO, MISSING, Section
from memlaw_analysis.report.texts_section import texts_sections
from memlaw_analysis.report.unintended_section import unintended_section


def sections(findings: Findings, study: Path | None) -> list[Section]:
    """Return all sections of a condition.

    Args:
        findings: findings of the condition.
        study: directory that commands add cells to; None for none.
    """
    parts = [
        cells_section(findings),
        law_section(findings, study),
        sensitivity_section(findings),
        rivals_section(findings),
        capacity_section(findings, study),
    ]
    if findings.unintended:
        parts.append(unintended_section(findings.unintended))
    if findings.tokens:
        parts += [transition_section(findings.tokens), recall_section(findings, findings.tokens)]
        parts += texts_sections(findings, findings.tokens)
    else:
        parts.append(Section("transition", "The p > 0.5 transition", notes=((MISSING, findings.missing["tokens"]),)))
    parts += side_effect_sections(findings.cells)
    return [*parts, next_section(findings, study)] if study else parts


def next_section(findings: Findings, study: Path) -> Section:
    """Show the commands that train the cells that the study lacks most."""
    title = "Which cells to run next"
    if findings.usable.nothing:
        return Section("next", title, notes=((MISSING, findings.usable.nothing),))
    notes = [(COMMAND, text) for text in next_commands(findings, study)]
    if has_exponents(findings):
        notes.insert(0, (INFO, "These cells would narrow α of the saturating form most, per token trained:"))
    return Section("next", title, notes=tuple(notes))
