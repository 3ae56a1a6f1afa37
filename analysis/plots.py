"""Figures: table and fit → matplotlib Figure. No I/O."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from analysis.collapse import Collapse
from analysis.law import LawFit
from analysis.saturation import DEFAULT

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
    saturated = int(DEFAULT.excludes(table).sum())
    caption = f"{len(table)} cells; hollow: saturated, {DEFAULT} ({saturated}), not fitted"
    if fit:
        p = fit.parameters
        caption += (
            f"; dashed: {p['C'][0]:.3g}·r^{p['alpha'][0]:.2f}·ℓ^−{p['beta'][0]:.2f} {p['b'][0]:+.2f}, "
            f"R² = {fit.r_squared:.3f} on {len(fit.used)} cells"
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
        for saturated, rows in cells.groupby(DEFAULT.excludes(cells)):
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
            predicted = fit.predict(r, l, base_loss=float(table["base_loss_nats"].mean()))
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
    gap = (values[-1] / values[0]) ** (1 / 14)  # closer labels would run into each other
    shown = values[-1:]
    for value in reversed(values[:-1]):
        if shown[0] / value >= gap:
            shown.insert(0, value)
    axes.xaxis.set_major_locator(FixedLocator(shown))
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


def prediction_figure(fits: Sequence[LawFit], title: str) -> Figure:
    """Predicted against true ΔL, a panel per fit, all cells; hollow ones were not fitted (paper, figure 3)."""
    figure = Figure(figsize=(4.6 * len(fits), 4.6), layout="constrained")
    for axes, fit in zip(np.atleast_1d(figure.subplots(1, len(fits), sharey=True)), fits, strict=True):
        for cells, filled in ((fit.excluded, False), (fit.used, True)):
            colour = np.log2(cells["lora.rank"].to_numpy(float))
            style = {"c": colour, "cmap": "viridis"} if filled else {"edgecolors": "grey", "facecolors": "none"}
            points = axes.scatter(cells["delta_loss_nats"], fit.predict_cells(cells), s=22, **style)
        top = max(float(cells["delta_loss_nats"].max()) for cells in (fit.used, fit.excluded) if len(cells))
        axes.plot([0, top], [0, top], color="black", linewidth=0.8)
        axes.set_title(f"{fit.form.formula}\nR² = {fit.r_squared:.4f} on {len(fit.used)} cells", fontsize=9)
        axes.set_xlabel("true ΔL (nats per token)")
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("predicted ΔL (nats per token)")
    figure.colorbar(points, ax=figure.axes).set_label("log2 of the rank")
    figure.suptitle(title, fontsize=11)
    return figure


def residual_figure(fits: Sequence[LawFit], title: str) -> Figure:
    """Relative residuals over length, a line per rank and a panel per fit: what a form misses is not noise."""
    figure = Figure(figsize=(4.6 * len(fits), 4.2), layout="constrained")
    for axes, fit in zip(np.atleast_1d(figure.subplots(1, len(fits), sharey=True)), fits, strict=True):
        cells = fit.used.assign(residual=100 * (fit.predict_cells(fit.used) / fit.used["delta_loss_nats"] - 1))
        ranks = sorted(cells["lora.rank"].unique())
        colours = colormaps["viridis"](np.linspace(0, 0.85, len(ranks)))
        for rank, colour in zip(ranks, colours, strict=True):
            rows = cells[cells["lora.rank"] == rank].groupby("target_tokens")["residual"].mean()
            axes.plot(rows.index, rows, "o-", color=colour, markersize=4, linewidth=0.8, label=f"r = {rank}")
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xscale("log")
        axes.set_title(fit.form.formula, fontsize=9)
        axes.set_xlabel(_NAMES["seq_len"])
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("predicted − true, % of true")
    figure.axes[0].legend(fontsize=7, ncols=2)
    figure.suptitle(title, fontsize=11)
    return figure


def collapse_figure(table: pd.DataFrame, collapse: Collapse, title: str) -> Figure:
    """ΔL/L0 of all cells against r^κ/ℓ: one curve, if rank and length act through that product alone."""
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    axes = figure.subplots()
    x = table["lora.rank"] ** collapse.kappa / table["target_tokens"]
    share = table["delta_loss_nats"] / table["base_loss_nats"]
    points = axes.scatter(x, share, c=np.log2(table["lora.rank"]), cmap="viridis", s=24)
    grid = np.geomspace(x.min(), x.max(), 200)
    axes.plot(grid, collapse.share(np.ones_like(grid), 1 / grid), color="black", linewidth=1)
    axes.axhline(1, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel(f"r^κ/ℓ, κ = {collapse.kappa:.2f}")
    axes.set_ylabel("ΔL / L0")
    axes.grid(alpha=0.25)
    figure.colorbar(points, ax=axes).set_label("log2 of the rank")
    axes.set_title(f"{title}: {len(table)} cells", fontsize=10)
    return figure


def transition_figure(table: pd.DataFrame, failures: pd.DataFrame, title: str) -> Figure:
    """Left: P(argmax right | p) over all tokens. Right: first failure against its lower bound (paper, figure 6).

    Args:
        table: `analysis.phase.transition`.
        failures: `analysis.phase.first_failures`.
        title: of the figure.
    """
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    middle = (table["low"] + table["high"]) / 2
    left.bar(middle, table["right"], width=table["high"] - table["low"], color="#3b6fb6", edgecolor="white")
    left.axvline(0.5, color="black", linewidth=0.8, linestyle="--")
    left.set_xlabel("probability of the target token")
    left.set_ylabel("share of tokens that are the argmax")
    left.set_title(f"{int(table['tokens'].sum())} tokens", fontsize=9)
    right.scatter(failures["first_stubborn"], failures["first_wrong"], s=22, alpha=0.7, color="#3b6fb6")
    top = max(1, int(failures["length"].max()))
    right.plot([0, top], [0, top], color="black", linewidth=0.8)
    right.set_xlabel("first position with p ≤ 0.5 (lower bound)")
    right.set_ylabel("first wrong argmax, given the true prefix")
    right.set_title(f"{len(failures)} pairs; the target's length where there is no failure", fontsize=9)
    for axes in (left, right):
        axes.grid(alpha=0.25)
    figure.suptitle(title, fontsize=11)
    return figure
