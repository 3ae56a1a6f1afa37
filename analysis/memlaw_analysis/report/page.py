"""The HTML page of a report: one file, no network, opens from disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
import pandas as pd

from memlaw_analysis.figures.choice import CAPTIONS
from memlaw_analysis.figures.drawing import Drawing
from memlaw_analysis.report.part import Part
from memlaw_analysis.report.section import COMMAND, show


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
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html").render(
        title=title,
        subtitle=subtitle,
        parts=parts,
        unfinished=unfinished,
        commands=commands,
        captions=CAPTIONS,
        show=show,
        COMMAND=COMMAND,
    )
