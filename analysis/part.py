"""One part of a report: a condition, or methods side by side, ready to be shown, written and checked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis.card import card
from analysis.figures import figures, method_figures
from analysis.findings import Findings
from analysis.method_sections import method_sections
from analysis.methods import Comparison
from analysis.points import points
from analysis.record import law_record, methods_record
from analysis.sections import Section, sections

RECORDS = ("law.json", "methods.json")
"""Where a part's numbers are written, by its kind."""


@dataclass(frozen=True)
class Part:
    """What a report writes and shows of a part.

    Attributes:
        label, title: for its directory, and for people.
        sections: as the terminal and the page show them.
        draw: its figures by name.
        record: its numbers in full precision.
        record_file: where they are written.
        card: its fit card; empty for none.
        tables: name → rows, written as CSV.
    """

    label: str
    title: str
    sections: list[Section]
    draw: Callable[[], dict[str, Figure]]
    record: dict[str, object]
    record_file: str
    card: dict[str, str]
    tables: dict[str, pd.DataFrame]


def condition_part(found: Findings, study: Path | None) -> Part:
    """A condition: the law and all that belongs to it.

    Args:
        found: its findings.
        study: directory that commands add cells to; None for none.
    """
    tables = {"sensitivity": found.ways, "rivals": found.rivals}
    if found.law:
        tables["points"] = points(found.law.fit)
    if found.tokens:
        tables |= {"transition": found.tokens.transition, "history": found.tokens.history}
    return Part(
        found.label,
        found.title,
        sections(found, study),
        lambda: figures(found),
        law_record(found),
        RECORDS[0],
        card(found),
        {name: rows for name, rows in tables.items() if rows is not None},
    )


def methods_part(found: Comparison) -> Part:
    """Methods side by side."""
    parts = method_sections(found)
    tables = {part.slug: part.table for part in parts if part.table is not None}
    return Part(
        found.label, found.title, parts, lambda: method_figures(found), methods_record(found), RECORDS[1], {}, tables
    )
