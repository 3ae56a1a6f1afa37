"""One part of a report: a condition, models fitted together, or methods side by side."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from memlaw.study.conditions import short_name
from memlaw_analysis.figures.choice import figures, method_figures
from memlaw_analysis.findings import Findings
from memlaw_analysis.recall.methods import Comparison
from memlaw_analysis.report.card import card
from memlaw_analysis.report.method_sections import method_sections
from memlaw_analysis.report.points import points
from memlaw_analysis.report.record import law_record, methods_record
from memlaw_analysis.report.section import Section
from memlaw_analysis.report.sections import sections
from memlaw_analysis.report.summary import Line, findings_summary, methods_summary


class Kind(Enum):
    """The kinds of parts."""

    CONDITION = "condition"
    TOGETHER = "models together"
    METHODS = "methods"


RECORD_FILES = {Kind.CONDITION: "law.json", Kind.TOGETHER: "law.json", Kind.METHODS: "methods.json"}
"""Kind of a part → name of the file with its numbers."""


@dataclass(frozen=True)
class Part:
    """What a report shows and writes of a part.

    Attributes:
        kind: what the part is about.
        label: what sets it apart from other parts; its directory is named after it.
        title: heading for people.
        summary: lines for the terminal.
        sections: content of the page.
        draw: makes the figures, by name.
        record: all numbers in full precision.
        card: fit card; empty for none.
        tables: name → rows, written as CSV.
    """

    kind: Kind
    label: str
    title: str
    summary: list[Line]
    sections: list[Section]
    draw: Callable[[], dict[str, Figure]]
    record: dict[str, object]
    card: dict[str, str]
    tables: dict[str, pd.DataFrame]

    @property
    def directory(self) -> str:
        """Name of the part's directory; empty for the only condition, which has none of its own."""
        return short_name(self.label)

    @property
    def anchor(self) -> str:
        """Name in the page's links."""
        return self.directory or "all"

    @property
    def record_file(self) -> str:
        """Name of the file that holds the numbers."""
        return RECORD_FILES[self.kind]


def findings_part(findings: Findings, study: Path | None, kind: Kind = Kind.CONDITION) -> Part:
    """Make the part of a condition, or of models together.

    Args:
        findings: content of the part.
        study: directory that commands add cells to; None for none.
        kind: kind of the part.
    """
    tables = {"sensitivity": findings.sensitivity, "rivals": findings.rivals}
    if findings.law:
        tables["points"] = points(findings.law.fit)
    if findings.tokens:
        tables |= {"transition": findings.tokens.transition, "history": findings.tokens.history}
    shown = sections(findings, study)
    return Part(
        kind=kind,
        label=findings.label,
        title=findings.title,
        summary=findings_summary(findings, shown, study),
        sections=shown,
        draw=lambda: figures(findings),
        record=law_record(findings),
        card=card(findings),
        tables={name: rows for name, rows in tables.items() if rows is not None},
    )


def methods_part(comparison: Comparison) -> Part:
    """Make the part that shows methods side by side."""
    shown = method_sections(comparison)
    return Part(
        kind=Kind.METHODS,
        label=comparison.label,
        title=comparison.title,
        summary=methods_summary(comparison),
        sections=shown,
        draw=lambda: method_figures(comparison),
        record=methods_record(comparison),
        card={},
        tables={section.slug: section.table for section in shown if section.table is not None},
    )
