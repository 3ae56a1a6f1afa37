"""Figures: table and fit → matplotlib Figure. No I/O."""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from analysis.law import SATURATION, LawFit, is_saturated

_NAMES = {"lora.rank": "LoRA rank r", "seq_len": "length ℓ (tokens)"}
_SYMBOLS = {"lora.rank": "r", "seq_len": "ℓ"}


def law_figure(table: pd.DataFrame, fit: LawFit | None, title: str) -> Figure:
    """ΔL against r, a line per ℓ, and against ℓ, a line per r; log–log, the fit dashed (paper, figure 1).

    Filled markers were fitted, hollow ones are saturated. Seeds of a cell are drawn as separate markers.
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _delta_loss_lines(left, table, fit, x="lora.rank", line="seq_len")
    _delta_loss_lines(right, table, fit, x="seq_len", line="lora.rank")
    left.set_ylabel("ΔL = L0 − L (nats per token)")
    saturated = int(is_saturated(table).sum())
    caption = f"{len(table)} cells; hollow: saturated, ΔL ≥ {SATURATION:g}·L0 ({saturated}), not fitted"
    if fit:
        p = fit.parameters()
        caption += (
            f"; dashed: {p['C'][0]:.3g}·r^{p['alpha'][0]:.2f}·ℓ^−{p['beta'][0]:.2f} {p['b'][0]:+.2f}, "
            f"R² = {fit.r_squared:.3f} on {fit.cells} cells"
        )
    figure.suptitle(title, fontsize=11)
    figure.supxlabel(caption, fontsize=8)
    return figure


def _delta_loss_lines(axes: Axes, table: pd.DataFrame, fit: LawFit | None, x: str, line: str) -> None:
    values = sorted(table[line].unique())
    colours = colormaps["viridis"](np.linspace(0, 0.85, len(values)))
    grid = np.geomspace(table[x].min(), table[x].max(), 100)
    for value, colour in zip(values, colours, strict=True):
        cells = table[table[line] == value].sort_values(x)
        mean = cells.groupby(x)["delta_loss_nats"].mean()
        axes.plot(mean.index, mean, color=colour, linewidth=0.8, alpha=0.5)
        for saturated, rows in cells.groupby(is_saturated(cells)):
            axes.plot(
                rows[x],
                rows["delta_loss_nats"],
                "o",
                color=colour,
                markerfacecolor="none" if saturated else colour,
            )
        axes.plot([], [], "o-", color=colour, label=f"{_SYMBOLS[line]} = {value}")
        if fit:
            fixed = np.full_like(grid, value)
            r, l = (grid, fixed) if x == "lora.rank" else (fixed, grid)
            predicted = fit.predict(r, l)
            shown = (predicted > 0) & (predicted < table["base_loss_nats"].max())
            axes.plot(grid[shown], predicted[shown], "--", color=colour)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_ticks(axes, x, sorted(table[x].unique()))
    low, high = table["delta_loss_nats"].min(), table["delta_loss_nats"].max()
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 3, 5, 7, 10, 15) if low / 1.5 <= tick <= high * 1.5]
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(_NAMES[x])
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)


def _plain_ticks(axes: Axes, name: str, values: list) -> None:
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(_NAMES[name])


def loss_heat_map(table: pd.DataFrame, title: str) -> Figure:
    """Final loss over (ℓ, r), mean over seeds; log colour scale, ln 2 marked on it (paper, figure 4)."""
    grid = table.pivot_table(index="lora.rank", columns="seq_len", values="loss_nats", aggfunc="mean")
    figure = Figure(figsize=(1.6 + 1.1 * grid.shape[1] + 1.4, 1.4 + 0.6 * grid.shape[0]), layout="constrained")
    axes = figure.subplots()
    values = grid.to_numpy(float)
    finite = values[np.isfinite(values)]
    low = max(float(finite.min()), 1e-4)
    norm = LogNorm(low, max(float(finite.max()), low * 10))
    image = axes.imshow(np.maximum(values, low), norm=norm, cmap="viridis", origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = norm(max(value, low)) < 0.6
            axes.text(
                column, row, f"{value:.3g}", ha="center", va="center", color="white" if dark else "black", fontsize=9
            )
    axes.set_xticks(range(grid.shape[1]), [str(column) for column in grid.columns])
    axes.set_yticks(range(grid.shape[0]), [str(rank) for rank in grid.index])
    axes.set_xlabel(_NAMES["seq_len"])
    axes.set_ylabel(_NAMES["lora.rank"])
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("final loss (nats per token)")
    if low < np.log(2) < norm.vmax:
        bar.ax.axhline(np.log(2), color="red")
        beside = bar.ax.get_yaxis_transform()
        bar.ax.text(-0.15, np.log(2), "ln 2", color="red", va="center", ha="right", fontsize=8, transform=beside)
    axes.set_title(title, fontsize=10)
    return figure
