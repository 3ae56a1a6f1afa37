"""Draw where an adapter holds the most: by modules, by layer, and by the number of layers. No I/O."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlaw_analysis.figures.style import CYCLE, new_figure

BITS = "bits_per_parameter"


def placement_figure(modules: pd.DataFrame, depth: pd.DataFrame, spread: pd.DataFrame) -> Figure | None:
    """Draw bits per parameter of each comparison that has cells, a panel each; None where none has."""
    layer = [layers[0] for layers in depth["layers"]]
    panels = [
        (modules, "kind", "adapted modules of one layer"),
        (depth.assign(layer=layer), "layer", "adapted layer"),
        (spread, "count", "layers adapted, at the same rank · layers"),
    ]
    shown = [panel for panel in panels if len(panel[0])]
    if not shown:
        return None
    caption = f"n = {sum(len(cells) for cells, _, _ in shown)} cells, a point each; lines: means"
    figure = new_figure("Where an adapter holds the most", caption, 4.4 * len(shown), 4.4)
    for axes, (cells, column, label) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _panel(axes, cells, column)
        axes.set_xlabel(label)
        axes.set_ylabel("bits per trainable parameter")
        axes.set_ylim(0, 1.15 * float(cells[BITS].max()))
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7)
    return figure


def _panel(axes: Axes, cells: pd.DataFrame, column: str) -> None:
    """Cells over the values of a column, a colour per length. Layers keep their distances; kinds have no order."""
    values = sorted(cells[column].unique())
    places = {value: float(value if column == "layer" else index) for index, value in enumerate(values)}
    for colour, (length, rows) in zip(CYCLE, cells.groupby("target_tokens"), strict=False):
        axes.plot(rows[column].map(places), rows[BITS], "o", color=colour, markersize=5, alpha=0.8)
        mean = rows.groupby(rows[column].map(places))[BITS].mean()
        line = {"linestyle": "none", "marker": "_", "markersize": 18} if column == "kind" else {"linewidth": 0.9}
        axes.plot(mean.index, mean, color=colour, label=f"ℓ = {length:g}", **line)
    axes.set_xticks(list(places.values()), [str(value) for value in places])
    axes.margins(x=0.1)
