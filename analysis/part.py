"""One part of a report: a condition, models fitted together, or methods side by side. It is shown, written, checked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.card import card
from analysis.figures import figures, method_figures
from analysis.findings import Findings, find
from analysis.load import all_tokens, condition_title, conditions, without_tokens
from analysis.method_sections import method_sections
from analysis.methods import Comparison, compare_methods, variants
from analysis.points import points
from analysis.record import law_record, methods_record
from analysis.section import Section
from analysis.sections import sections
from analysis.summary import Line, findings_summary, methods_summary
from memlaw.conditions import PROTOCOL, short_name


class Kind(Enum):
    """The kinds of parts."""

    CONDITION = "condition"
    TOGETHER = "models together"
    METHODS = "methods"


RECORD_FILES = {Kind.CONDITION: "law.json", Kind.TOGETHER: "law.json", Kind.METHODS: "methods.json"}
"""Where a part's numbers are written."""


@dataclass(frozen=True)
class Part:
    """What a report writes and shows of a part.

    Attributes:
        kind: what it is.
        label, title: for its directory, and for people.
        summary: what the terminal shows.
        sections: what the page shows.
        draw: makes its figures, by name.
        record: its numbers in full precision.
        card: its fit card; empty for none.
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
        """The name of its directory in the report's; empty for the only condition."""
        return short_name(self.label)

    @property
    def anchor(self) -> str:
        """Its name in the page's links."""
        return self.directory or "all"

    @property
    def record_file(self) -> str:
        """The file in its directory that holds its numbers."""
        return RECORD_FILES[self.kind]


def findings_part(findings: Findings, study: Path | None, kind: Kind = Kind.CONDITION) -> Part:
    """Make the part of a condition, or of models together: the law and all that belongs to it.

    Args:
        findings: what it shows.
        study: directory that commands add cells to; None for none.
        kind: of the part.
    """
    tables = {"sensitivity": findings.ways, "rivals": findings.rivals}
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


def study_parts(table: pd.DataFrame, study: Path | None, with_tokens: bool) -> Iterator[Part]:
    """Make all parts of a table: its conditions, models together where only the model differs, methods side by side.

    Args:
        table: of studies or W&B runs.
        study: directory that commands add cells to; None for none.
        with_tokens: whether the cells' token tables are on disk.
    """
    single = list(condition_findings(table, with_tokens))
    yield from (findings_part(findings, study) for findings in single)
    yield from (findings_part(findings, study, Kind.TOGETHER) for findings in together_findings(table))
    yield from (methods_part(comparison) for comparison in comparisons(table, single))


def condition_findings(table: pd.DataFrame, with_tokens: bool) -> Iterator[Findings]:
    """Compute the findings of each condition of a table."""
    for label, cells in conditions(table):
        complete = with_tokens and not without_tokens(cells)
        yield find(cells, condition_title(cells, label), label, all_tokens(cells) if complete else None)


def together_findings(table: pd.DataFrame) -> Iterator[Findings]:
    """Compute the findings of models together, wherever only the model differs."""
    for label, cells in conditions(table, ignoring=("model.",)):
        if cells["model.name"].nunique() > 1:
            together = f"{Kind.TOGETHER.value} {label}".strip()
            yield find(cells, f"{cells['data.name'].iloc[0]} {together}", together, None)


def comparisons(table: pd.DataFrame, single: Sequence[Findings]) -> Iterator[Comparison]:
    """Compare methods, wherever only the method differs, and what a method's protocol takes with it.

    Args:
        table: the cells of `single`.
        single: `condition_findings` of it; cells appear there with the columns made from their tokens.
    """
    cells = pd.concat([findings.cells for findings in single], ignore_index=True)
    histories = [findings.tokens.history for findings in single if findings.tokens]
    history = pd.concat(histories or [pd.DataFrame({"cell": []})], ignore_index=True)
    for label, rows in conditions(table, ignoring=("method.",), following=PROTOCOL):
        if variants(rows).nunique() > 1:
            compared = cells[cells["cell"].isin(rows["cell"])].reset_index(drop=True)
            models = ", ".join(map(str, compared["model.name"].unique()))
            methods = f"{Kind.METHODS.value} {label}".strip()
            title = " ".join([models, str(compared["data.name"].iloc[0]), methods])
            evaluated = history[history["cell"].isin(compared["cell"])]
            yield compare_methods(compared, evaluated, methods, title)
