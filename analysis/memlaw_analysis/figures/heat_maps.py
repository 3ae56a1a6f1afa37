"""Draw maps of rank × length. No I/O."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from memlaw_analysis.figures.style import NAMES, RED, new_figure
from memlaw_analysis.recall.methods import order

NARROWEST_SCALE = 1.2
"""Smallest ratio of the ends of a colour scale of losses, so that nearly equal losses have nearly equal colours."""


def loss_heat_map(table: pd.DataFrame, title: str) -> Figure:
    """Draw the final loss over (ℓ, r), mean over seeds; ln 2 is marked on the log colour scale (paper, figure 4)."""
    grid = table.pivot_table(index="lora.rank", columns="target_tokens", values="loss_nats", aggfunc="mean")
    caption = f"n = {len(table)} cells; ln 2 is the loss of a token with p = 0.5"
    figure = new_figure(title, caption, max(5, 3 + 0.8 * grid.shape[1]), 2 + 0.5 * grid.shape[0])
    axes = figure.subplots()
    finite = grid.to_numpy(float)[np.isfinite(grid.to_numpy(float))]
    low = max(float(finite.min()), 1e-4)
    high = max(float(finite.max()), low * NARROWEST_SCALE)
    norm = LogNorm(low, high)
    image = draw_grid(axes, grid, np.maximum(grid.to_numpy(float), low), norm, "viridis", "{:.2g}")
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("final loss (nats per token)")
    if high < 10 * low:  # no two powers of ten to label
        ticks = np.geomspace(low, high, 3).tolist()
        bar.set_ticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
        bar.ax.minorticks_off()
    if low < np.log(2) < high:
        bar.ax.axhline(np.log(2), color=RED)
        beside = bar.ax.get_yaxis_transform()
        bar.ax.text(-0.15, np.log(2), "ln 2", color=RED, va="center", ha="right", fontsize=8, transform=beside)
    return figure


def draw_grid(axes: Axes, grid: pd.DataFrame, values: np.ndarray, norm: Normalize, cmap: str, form: str) -> AxesImage:
    """Draw rank × length as coloured fields with their numbers; empty fields stay white. Return the image."""
    image = axes.imshow(values, norm=norm, cmap=cmap, origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(grid.to_numpy(float)):
        if np.isfinite(value):
            red, green, blue, _ = image.cmap(norm(values[row, column]))
            ink = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
            axes.text(column, row, form.format(value), ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(grid.shape[1]), [f"{column:g}" for column in grid.columns])
    axes.set_yticks(range(grid.shape[0]), [f"{rank:g}" for rank in grid.index])
    axes.set_xlabel(NAMES["target_tokens"])
    axes.set_ylabel(NAMES["lora.rank"])
    return image


def exact_figure(cells: pd.DataFrame, title: str) -> Figure:
    """Draw exact match over rank and length, a panel per method (paper, figures 4 and 10).

    Args:
        cells: `lora.rank`, `target_tokens`, and `method` and `exact` of `memlaw_analysis.recall.methods.compared`.
        title: of the figure.
    """
    methods = order(cells["method"].unique())
    grids = [
        rows.pivot_table(index="lora.rank", columns="target_tokens", values="exact", aggfunc="mean")
        for rows in (cells[cells["method"] == method] for method in methods)
    ]
    decoded = "recall_exact_share" in cells and cells["recall_exact_share"].notna().all()
    source = "by greedy decoding" if decoded else "greedy decoding as predicted: every argmax is right"
    caption = f"n = {len(cells)} cells; {source}"
    width = max(5.0, sum(1.8 + 0.8 * grid.shape[1] for grid in grids))
    figure = new_figure(title, caption, width, 2 + 0.5 * max(len(grid) for grid in grids))
    panels = np.atleast_1d(figure.subplots(1, len(methods)))
    for axes, method, grid in zip(panels, methods, grids, strict=True):
        image = draw_grid(axes, grid, grid.to_numpy(float), Normalize(0, 1), "cividis", "{:.2g}")
        axes.set_title(method, fontsize=9)
    figure.colorbar(image, ax=panels).set_label("share of pairs recalled exactly")
    return figure
