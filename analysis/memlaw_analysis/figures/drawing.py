"""Turn figures into the content of files: SVG for the page and for print, PNG for everything else."""

import io
import re
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat

from matplotlib import rc_context
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A drawn figure.

    Attributes:
        svg: an SVG element.
        png: the content of a PNG file.
    """

    svg: str
    png: bytes


def draw(figures: Mapping[str, Figure], anchor: str) -> dict[str, Drawing]:
    """Draw figures in parallel: name → drawing.

    The ids of an SVG element begin with `anchor` and the figure's name, so that a page can hold several.
    """
    with ProcessPoolExecutor() as pool:  # drawing is most of a report's time
        return dict(zip(figures, pool.map(_drawing, figures.values(), figures, repeat(anchor)), strict=True))


def _drawing(figure: Figure, name: str, anchor: str) -> Drawing:
    element, png = svg(figure, f"{anchor}-{name}"), io.BytesIO()
    figure.set_layout_engine("none")  # laid out once already
    figure.savefig(png, format="png", dpi=120)
    return Drawing(element, png.getvalue())


def svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element; `name` keeps its ids apart from those of the page's other figures."""
    text = io.StringIO()
    with rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    element = text.getvalue()[text.getvalue().index("<svg") :]
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", element)
