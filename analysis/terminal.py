"""What the report prints: some 25 lines that fit a terminal of 80 columns. Tables are on the page."""

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from analysis.part import Kind, Part
from analysis.section import CAUTION, COMMAND, MISSING, PROBLEM
from analysis.summary import Line

MOST_PARTS = 4
"""Conditions beside the one shown in full that get a line each."""

_MOST_LINES = 2
"""Of the terminal, for a sentence that is no command."""

_INDENT = 15
_COLOURS = {CAUTION: "yellow", MISSING: "yellow", PROBLEM: "red"}


def print_summary(parts: Sequence[Part], source: str, cells: int, console: Console) -> None:
    """Print the condition of the strongest law in full, others in a line each, and which method is better.

    Args:
        parts: of the report.
        source: where its cells were read.
        cells: their number.
        console: where to.
    """
    laws = [part for part in parts if part.kind is not Kind.METHODS]
    conditions = sum(part.kind is Kind.CONDITION for part in parts)
    _print(f"{source}: {cells} cells in {conditions} condition{'s' if conditions > 1 else ''}", console)
    best = headline(laws)
    _print_part(best, best.summary, console)
    others = [Line("", f"{part.label}: {_outcome(part)}") for part in laws if part is not best]
    if len(others) > MOST_PARTS:
        others[MOST_PARTS:] = [Line("", f"and {len(others) - MOST_PARTS} more on the page")]
    if others:
        _print_lines([Line("others", others[0].text), *others[1:]], console)
    for part in parts:
        if part.kind is Kind.METHODS:
            _print_part(part, part.summary, console)


def headline(laws: Sequence[Part]) -> Part:
    """Return the part whose law stands for all: of the identified ones, else of those fitted, that of most cells."""

    def strength(part: Part) -> tuple[bool, bool, object]:
        record = part.record
        return bool(record["fitted"]), bool(record.get("identified")), record.get("cells_used", record["cells"])

    return max(laws, key=strength)


def _outcome(part: Part) -> str:
    """A part's law in a few words."""
    record = part.record
    cells = f"{record['cells']} cells"
    if not record["fitted"]:
        return f"{cells}, no law"
    return f"{cells}, {part.summary[1].text}" if record["identified"] else f"{cells}, law not identified"


def _print_part(part: Part, lines: Sequence[Line], console: Console) -> None:
    console.print()
    _print(part.title, console, "bold")
    _print_lines(lines, console)


def _print_lines(lines: Sequence[Line], console: Console) -> None:
    for line in lines:
        rows = _command_rows(line.text, console.width) if line.kind == COMMAND else _rows(line.text, console.width)
        topic = Text(f"  {line.topic}".ljust(_INDENT))
        for row in rows:
            console.print(topic + Text(row, _COLOURS.get(line.kind, "")), soft_wrap=True, highlight=False)
            topic = Text(" " * _INDENT)


def _print(text: str, console: Console, style: str = "") -> None:
    for row in textwrap.wrap(text, console.width, break_long_words=False, break_on_hyphens=False):
        console.print(Text(row, style), soft_wrap=True, highlight=False)


def _rows(text: str, width: int) -> list[str]:
    """A sentence in rows that end between words; what `_MOST_LINES` rows cannot hold is on the page."""
    return textwrap.wrap(
        text,
        max(width - _INDENT, 20),
        max_lines=_MOST_LINES,
        placeholder=" …",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _command_rows(command: str, width: int) -> list[str]:
    """A command in rows that a shell takes as one line."""
    rows = textwrap.wrap(command, max(width - _INDENT - 2, 20), break_long_words=False, break_on_hyphens=False)
    return [f"{row} \\" for row in rows[:-1]] + rows[-1:]
