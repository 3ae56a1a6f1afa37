"""One section of a report: a heading, sentences, a table and names of figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from memlaw_analysis.pages.text import Text

INFO, CAUTION, PROBLEM, MISSING, COMMAND = "", "caution", "not identified", "missing", "command"
"""Kinds of notes. A command is ready to be pasted into a terminal."""


@dataclass(frozen=True)
class Section:
    """One section of a part of a report.

    Attributes:
        slug: name in links.
        title: heading.
        table: raw values under their headings; None for no table.
        formats: heading → format of its numbers, e.g. `{:.2f}`. Values without a format are shown as they are.
        notes: (kind, sentence) pairs.
        figures: names of figures, shown where they were drawn.
        texts: targets, coloured by the probability of each token.
    """

    slug: str
    title: str
    table: pd.DataFrame | None = None
    formats: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[tuple[str, str], ...] = ()
    figures: tuple[str, ...] = ()
    texts: tuple[Text, ...] = ()
