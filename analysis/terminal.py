"""What the report prints: the sections' sentences, and the tables of the brief ones."""

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from analysis.sections import CAUTION, INFO, MISSING, PROBLEM, Section, show

_COLOURS = {CAUTION: "yellow", MISSING: "yellow", PROBLEM: "red"}
_WORDY = ("formula", "AICc", "problem")
"""Columns that only the page has room for."""

MOST_ROWS = 60


def print_sections(parts: list[Section], title: str, console: Console) -> None:
    """Print a condition."""
    console.rule(title)
    for part in parts:
        if part.brief and part.table is not None and len(part.table) <= MOST_ROWS:
            console.print(_table(part))
        else:
            console.print(f"[italic]{part.title}[/]", highlight=False)
        for kind, text in part.notes:
            said = Text(text) if kind == INFO else Text.assemble((kind, _COLOURS.get(kind, "red")), ": ", text)
            if "python -m " in text or not console.is_terminal:  # commands are copied, and files searched
                console.print(Text("  ") + said, soft_wrap=True, highlight=False)
            else:
                console.print(Padding(said, (0, 0, 0, 2)), highlight=False)


def _table(part: Section) -> Table:
    assert part.table is not None
    names = [name for name in part.table.columns if name not in _WORDY]
    table = Table(*names, title=part.title, title_justify="left", box=None)
    for column in table.columns:
        column.justify, column.overflow = "right", "fold"
    for row in part.table[names].to_dict("records"):
        table.add_row(*(show(row[name], part.formats.get(name)) for name in names))
    return table
