"""What the report prints: at most 25 lines that fit a terminal of 80 columns. Tables are on the page."""

import re
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from memlaw_analysis.report.part import Kind, Part
from memlaw_analysis.report.section import CAUTION, COMMAND, MISSING, PROBLEM
from memlaw_analysis.report.summary import Line

MOST_PARTS = 4
"""Conditions beside the one shown in full that get a line each."""

_MOST_ROWS = 2
"""Rows of a sentence; the page has the whole of it."""

_INDENT = 15
_NARROWEST = 20
"""Fewest columns for text, however narrow the terminal."""

_COLOURS = {CAUTION: "yellow", MISSING: "yellow", PROBLEM: "red"}
_SHELL_WORD = re.compile(r"""(?:'[^']*'|"[^"]*"|[^\s'"])+""")
"""A word of a command; quotes hold spaces together."""


def print_summary(parts: Sequence[Part], source: str, cells: int, console: Console) -> None:
    """Print one condition in full, the others in a line each, and which method is better.

    Args:
        parts: parts of the report.
        source: where the cells were read.
        cells: their number.
        console: where to print.
    """
    laws = [part for part in parts if part.kind is not Kind.METHODS]
    conditions = sum(part.kind is Kind.CONDITION for part in parts)
    _print_heading(f"{source}: {cells} cells in {conditions} condition{'s' if conditions > 1 else ''}", console)
    best = headline(laws)
    _print_part(best, console)
    others = [Line("", f"{part.label}: {_outcome(part)}") for part in laws if part is not best]
    if len(others) > MOST_PARTS:
        others[MOST_PARTS:] = [Line("", f"and {len(others) - MOST_PARTS} more on the page")]
    if others:
        _print_lines([Line("others", others[0].text), *others[1:]], console)
    for part in parts:
        if part.kind is Kind.METHODS:
            _print_part(part, console)


def headline(laws: Sequence[Part]) -> Part:
    """Return the part to show in full: an identified law before others, then one fitted to the most cells."""

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


def _print_part(part: Part, console: Console) -> None:
    console.print()
    _print_heading(part.title, console, "bold")
    _print_lines(part.summary, console)


def _print_heading(text: str, console: Console, style: str = "") -> None:
    for row in textwrap.wrap(text, console.width, break_long_words=False, break_on_hyphens=False):
        console.print(Text(_cut(row, console.width), style), soft_wrap=True, highlight=False)


def _print_lines(lines: Sequence[Line], console: Console) -> None:
    width = max(console.width - _INDENT, _NARROWEST)
    for line in lines:
        rows = _command_rows(line.text, width) if line.kind == COMMAND else _rows(line.text, width)
        topic = Text(f"  {line.topic}".ljust(_INDENT))
        for row in rows:
            console.print(topic + Text(row, _COLOURS.get(line.kind, "")), soft_wrap=True, highlight=False)
            topic = Text(" " * _INDENT)


def _rows(text: str, width: int) -> list[str]:
    """Break a sentence between words; cut it after `_MOST_ROWS` rows, and cut a word that is longer than a row."""
    short = " ".join(_cut(word, width) for word in text.split(" "))
    return textwrap.wrap(
        short, width, max_lines=_MOST_ROWS, placeholder=" …", break_long_words=False, break_on_hyphens=False
    )


def _cut(row: str, width: int) -> str:
    return row if len(row) <= width else f"{row[: width - 1]}…"


def _command_rows(command: str, width: int) -> list[str]:
    """Break a command between its words, so that a shell reads the rows as one line. No word is cut."""
    rows: list[str] = []
    for word in _SHELL_WORD.findall(command):
        if rows and len(rows[-1]) + 1 + len(word) <= width - 2:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    return [f"{row} \\" for row in rows[:-1]] + rows[-1:]
