"""The HTML page of a report: one file, no network, opens from disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from memlaw_analysis.figures.choice import CAPTIONS
from memlaw_analysis.figures.drawing import Drawing
from memlaw_analysis.pages.template import render
from memlaw_analysis.report.part import Part
from memlaw_analysis.report.section import COMMAND


def page(
    title: str,
    subtitle: str,
    parts: Sequence[tuple[Part, Mapping[str, Drawing]]],
    unfinished: pd.DataFrame | None,
    commands: Sequence[str],
) -> str:
    """Render the page.

    Args:
        title, subtitle: heading of the page.
        parts: parts of the report, each with its drawn figures.
        unfinished: planned cells that are not done; None when that cannot be known.
        commands: commands that reproduce the report.
    """
    return render(
        Path(__file__).with_name("page.html"),
        title=title,
        subtitle=subtitle,
        parts=parts,
        unfinished=unfinished,
        commands=commands,
        captions=CAPTIONS,
        coloured_texts=any(section.texts for part, _ in parts for section in part.sections),
        COMMAND=COMMAND,
    )
