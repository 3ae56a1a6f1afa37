"""Write the directory of a report: page, tables, figures and numbers."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from memlaw.core.errors import ConfigError
from memlaw.core.files import atomic_path, write_json, write_text
from memlaw_analysis.figures.drawing import Drawing, draw
from memlaw_analysis.report.card import markdown
from memlaw_analysis.report.page import page
from memlaw_analysis.report.part import Kind, Part
from memlaw_analysis.tables.studies import write_table

PAGE = "report.html"
"""The file that shows everything; a directory with it is a report."""


def write_report(
    parts: Sequence[Part], table: pd.DataFrame, *, target: Path, name: str, unfinished: pd.DataFrame | None
) -> None:
    """Write the directory of a report anew, whole or not at all.

    Args:
        parts: what it shows.
        table: all cells.
        target: the directory; an earlier report there is replaced.
        name: what the report is about.
        unfinished: planned cells that are not done; None when that cannot be known.

    Raises:
        OSError: the directory cannot be written; an earlier report is still there.
    """
    drawn = [(part, draw(part.draw(), part.anchor)) for part in parts]
    conditions = sum(part.kind is Kind.CONDITION for part in parts)
    subtitle = f"{len(table)} cells in {conditions} condition{'s' if conditions > 1 else ''}"
    command = shlex.join(["memlaw", "report", *sys.argv[1:]])
    with atomic_path(target) as directory:
        write_table(table, directory / "cells.csv")
        for part, drawings in drawn:
            _write_part(part, drawings, directory / part.directory)
        text = page(f"memlaw report: {name}", subtitle, drawn, unfinished, [command, f"{command} --check"])
        write_text(directory / PAGE, text)


def _write_part(part: Part, drawings: Mapping[str, Drawing], directory: Path) -> None:
    write_json(directory / part.record_file, part.record)
    if part.card:
        write_text(directory / "fit_card.md", markdown(part.card))
    for name, rows in part.tables.items():
        write_table(rows, directory / f"{name}.csv")
    for name, drawing in drawings.items():
        write_text(directory / f"{name}.svg", drawing.svg)
        with atomic_path(directory / f"{name}.png") as temporary:
            temporary.write_bytes(drawing.png)


def check_target(target: Path) -> None:
    """Refuse a directory that holds something else than a report, because a report replaces all of it.

    Raises:
        ConfigError: it does.
    """
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not (target / PAGE).exists()):
        raise ConfigError(f"{target} holds something else than a report; name another directory with --out")
