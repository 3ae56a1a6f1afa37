"""The HTML page of a report: one file, no network, opens from disk."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.figure import Figure

from analysis.figures import MEANING
from analysis.sections import Section, show


@dataclass(frozen=True)
class Condition:
    """What the page shows of a condition.

    Attributes:
        id, title: its anchor, and its heading.
        sections: its sections.
        figures: name → SVG.
        card: its fit card.
    """

    id: str
    title: str
    sections: list[Section]
    figures: dict[str, str]
    card: dict[str, str]


def page(
    title: str,
    subtitle: str,
    conditions: list[Condition],
    unfinished: pd.DataFrame | None,
    commands: list[str],
) -> str:
    """Render the page.

    Args:
        title, subtitle: of the page.
        conditions: what it shows.
        unfinished: planned cells that are not done; None when that cannot be known.
        commands: how to reproduce it.
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
        conditions=conditions,
        unfinished=unfinished,
        commands=commands,
        meaning=MEANING,
        table=_table,
    )


def _table(table: pd.DataFrame, formats: Mapping[str, str]) -> Markup:
    """A table whose headings sort it; `data-value` holds the raw value."""
    heads = Markup("").join(
        Markup('<th scope="col"><button type="button">{}</button></th>').format(name) for name in table.columns
    )
    rows = [
        Markup("").join(_field(row[name], formats.get(name)) for name in table.columns)
        for row in table.to_dict("records")
    ]
    body = Markup("\n").join(Markup("<tr>{}</tr>").format(row) for row in rows)
    markup = '<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    return Markup(markup).format(heads, body)


def _field(value: object, form: str | None) -> Markup:
    shown = show(value, form)
    raw = "" if shown == "–" else value
    kind = Markup(' class="text"') if isinstance(value, str) and len(value) > 24 else ""
    return Markup('<td{} data-value="{}">{}</td>').format(kind, raw, shown)


def svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element; `name` keeps its ids apart from those of the page's other figures."""
    text = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    element = text.getvalue()[text.getvalue().index("<svg") :]
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", element)
