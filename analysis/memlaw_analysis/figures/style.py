"""How figures look: a white ground for print and for dark pages, and colours that are safe for the colour-blind.

Ordered values, such as ranks and lengths, have colours of viridis and a marker each. Methods and forms have Okabe and
Ito's colours. Probabilities have a colour map that turns at p = 0.5.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

BLUE, ORANGE, GREEN, RED, PURPLE, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#777777"
CYCLE = (BLUE, RED, GREEN, PURPLE, ORANGE, GREY)
PROBABILITY_MAP = "PuOr"
MARKERS = "osD^vP<X>*"

NAMES = {"lora.rank": "LoRA rank r", "seq_len": "length ℓ (tokens)", "target_tokens": "length ℓ (tokens)"}
SYMBOLS = {"lora.rank": "r", "seq_len": "ℓ", "target_tokens": "ℓ"}
DELTA_LOSS = "ΔL = L0 − L (nats per token)"


def ordered_colours(count: int) -> list[tuple[float, ...]]:
    """Return colours of `count` ascending values, dark to light, none too pale for white."""
    return [tuple(colour) for colour in colormaps["viridis"](np.linspace(0, 0.88, count))]


def new_figure(title: str, caption: str, width: float, height: float) -> Figure:
    """Make an empty figure with its title above and its caption below. The caption names n and the rule."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=10)
    figure.supxlabel(caption, fontsize=8, color="#444444")
    return figure


def plain_ticks(axes: Axes, values: Sequence[float], which: str = "x") -> None:
    """Make an axis logarithmic, with as many of the values as fit for its ticks."""
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    _set_ticks(axes.xaxis if which == "x" else axes.yaxis, _thin(sorted(values), 9))


def nats_ticks(axes: Axes, low: float, high: float) -> None:
    """Make the y axis logarithmic, with round ticks in nats; where the values leave room for none, with their ends."""
    axes.set_yscale("log")
    rounds = [digit * 10.0**power for power in range(-4, 2) for digit in (1, 1.5, 2, 3, 4, 5, 6, 7, 8)]
    inside = [tick for tick in rounds if low / 1.1 <= tick <= high * 1.1]
    _set_ticks(axes.yaxis, _thin(inside, 8) if len(inside) > 1 else sorted({low, high}))


def _thin(values: list[float], most: int) -> list[float]:
    """The largest of ascending values and, below it, those far enough apart for `most` labels."""
    gap = (values[-1] / values[0]) ** (1 / most)
    shown = values[-1:]
    for value in reversed(values[:-1]):
        if shown[0] / value >= gap:
            shown.insert(0, value)
    return shown


def _set_ticks(axis: Axis, values: list[float]) -> None:
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter(StrMethodFormatter("{x:.4g}"))
    axis.set_minor_locator(NullLocator())
