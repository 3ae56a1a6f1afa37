"""Draw training methods side by side. No I/O."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memlaw_analysis.figures.style import CYCLE, GREY, MARKERS, new_figure
from memlaw_analysis.recall.dynamics import telling_length
from memlaw_analysis.recall.methods import PLACE, TIME, Comparison

CURVES = {
    "loss_nats": "mean loss L (nats)",
    "recalled_share": "tokens with p > 0.5",
    "first_wrong_share": "text before the\nfirst wrong argmax",
    "active_share": "mean weight\n(still trained)",
}
"""Columns of a history that are drawn over steps."""

MOST_RANKS = 4
"""Columns of the figure of convergence."""


def convergence_figure(comparison: Comparison) -> Figure:
    """Draw how the methods converge: a column per rank, a row per quantity, a line per cell (paper, figure 9).

    The length is the one whose ranks differ most.
    """
    length = telling_length(comparison.cells)
    cells = comparison.cells[comparison.cells["target_tokens"] == length]
    ranks = _most_telling(cells)
    shown = cells[cells["lora.rank"].isin(ranks)]
    caption = f"n = {len(shown)} cells, a line each; dashed: ln 2, the loss at p = 0.5"
    figure = new_figure(f"{comparison.title}, ℓ = {length:g}", caption, max(6.0, 3.2 * len(ranks)), 8.2)
    grid = figure.subplots(len(CURVES), len(ranks), sharex=True, sharey="row", squeeze=False)
    for column, rank in zip(grid.T, ranks, strict=True):
        column[0].set_title(f"r = {rank:g}", fontsize=9)
        column[-1].set_xlabel("step + 1")
        for method, colour in zip(comparison.methods, CYCLE, strict=False):
            names = shown[(shown["lora.rank"] == rank) & (shown["method"] == method)]["cell"]
            for index, cell in enumerate(names):
                rows = comparison.history[comparison.history["cell"] == cell].sort_values("step")
                for axes, quantity in zip(column, CURVES, strict=True):
                    values = rows[quantity].clip(lower=1e-3) if quantity == "loss_nats" else rows[quantity]
                    label = None if index else method
                    axes.plot(rows["step"] + 1, values, color=colour, linewidth=1.1, alpha=0.85, label=label)
        column[0].axhline(np.log(2), color=GREY, linewidth=0.8, linestyle="--")
        column[0].set_yscale("log")
        for axes in column:
            axes.set_xscale("log")
            axes.grid(alpha=0.25)
        for axes in column[1:]:
            axes.set_ylim(-0.03, 1.03)
    for axes, label in zip(grid[:, 0], CURVES.values(), strict=True):
        axes.set_ylabel(label)
    grid[0, -1].legend(fontsize=7)
    return figure


def _most_telling(cells: pd.DataFrame) -> list[float]:
    """The ranks, at most `MOST_RANKS`, at which the recalled share of methods and seeds spreads most."""
    spread = cells.groupby("lora.rank")["recalled_share"].std().fillna(0.0)
    return sorted(float(rank) for rank in spread.nlargest(MOST_RANKS).index)


def methods_figure(comparison: Comparison) -> Figure:
    """Draw every metric of every cell: a panel per metric, a place per rank and length, a colour per method."""
    metrics = [metric for metric in comparison.metrics if metric.column != TIME or not comparison.shares_time]
    places = comparison.cells[PLACE].drop_duplicates().sort_values(PLACE).itertuples(index=False)
    ticks = {(length, rank): index for index, (length, rank) in enumerate(places)}
    columns = min(4, len(metrics))
    lines = -(-len(metrics) // columns)
    caption = f"n = {len(comparison.cells)} cells, a point each; lines: means over seeds"
    figure = new_figure(comparison.title, caption, 3.1 * columns, 0.6 + 2.6 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, metric in zip(panels, metrics, strict=False):
        for index, method in enumerate(comparison.methods):
            rows = comparison.cells[comparison.cells["method"] == method]
            at = [ticks[place] for place in rows[PLACE].itertuples(index=False, name=None)]
            shifted = np.array(at) + 0.16 * (index - (len(comparison.methods) - 1) / 2)
            values = rows[metric.column].astype(float)
            style = {"color": CYCLE[index % len(CYCLE)], "label": method}
            axes.scatter(shifted, values, s=18, marker=MARKERS[index % len(MARKERS)], alpha=0.8, **style)
            means = values.groupby(shifted).mean()
            axes.hlines(means, means.index - 0.07, means.index + 0.07, color=style["color"], linewidth=1.5)
        better = "higher" if metric.larger_is_better else "lower"
        unit = "" if metric.unit == "points" else f" ({metric.unit})"
        axes.set_title(f"{metric.title}{unit}; {better} is better", fontsize=8)
        names = [f"r={rank:g}\nℓ={length:g}" for length, rank in ticks]
        axes.set_xticks(list(ticks.values()), names, fontsize=7 if len(ticks) < 6 else 5)
        if metric.unit == "points":
            axes.set_ylim(-0.04, 1.04)
        axes.set_xlim(-0.6, len(ticks) - 0.4)
        axes.grid(alpha=0.25)
    for axes in panels[len(metrics) :]:
        axes.set_axis_off()
    panels[0].legend(fontsize=7)
    return figure
