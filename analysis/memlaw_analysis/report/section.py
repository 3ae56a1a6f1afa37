"""One section of a report: a heading, a table, sentences and names of figures. Page and files show the same ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

INFO, CAUTION, PROBLEM, MISSING, COMMAND = "", "caution", "not identified", "missing", "command"
"""Kinds of notes; a command is ready to be pasted into a terminal."""


@dataclass(frozen=True)
class Section:
    """One section of a part of a report.

    Attributes:
        slug, title: its name in links, and as people read it.
        table: its table, raw values under their headings; None has none.
        formats: heading → format of its numbers, e.g. `{:.2f}`; others are shown as they are.
        notes: (kind, sentence).
        figures: names of its figures.
    """

    slug: str
    title: str
    table: pd.DataFrame | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()
    figures: tuple[str, ...] = ()


def show(value: object, form: str | None) -> str:
    """Return a table's value as text; a dash for nothing."""
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return "–"
    return form.format(value) if form and not isinstance(value, str) else str(value)
