"""Figures of cells and fits: table and fit → matplotlib Figure. No I/O. Those of tokens are in `token_plots`."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from analysis.capacity import LITERATURE, Capacity, leveling
from analysis.collapse import Collapse
from analysis.forms import Inputs
from analysis.law import LawFit
from analysis.saturation import DEFAULT
from analysis.style import (
    BLUE,
    DELTA_LOSS,
    GREY,
    MARKERS,
    NAMES,
    ORANGE,
    RED,
    SYMBOLS,
    nats_ticks,
    new_figure,
    ordered_colours,
    plain_ticks,
)

NARROWEST_SCALE = 1.2
"""Ratio of the ends of a colour scale of losses at least: equal losses differ in no colour."""


def law_figure(table: pd.DataFrame, fit: LawFit | None, title: str) -> Figure:
    """ΔL against r, a line per ℓ, and against ℓ, a line per r; log–log, the fit dashed (paper, figure 1).

    Filled markers were fitted, hollow ones are saturated. Seeds of a cell are drawn as separate markers.
    """
    caption = f"n = {len(table)} cells; hollow: saturated, {DEFAULT} ({int(DEFAULT.excludes(table).sum())}), not fitted"
    if fit:
        p = fit.values
        caption += (
            f"; dashed: {p['C']:.3g}·r^{p['alpha']:.2f}·ℓ^−{p['beta']:.2f} {p['b']:+.2f}, "
            f"R² = {fit.r_squared:.3f} on {len(fit.used)} cells"
        )
    figure = new_figure(title, caption, 10, 4.8)
    left, right = figure.subplots(1, 2, sharey=True)
    _delta_loss_lines(left, table, fit, x="lora.rank", line="target_tokens")
    _delta_loss_lines(right, table, fit, x="target_tokens", line="lora.rank")
    left.set_ylabel(DELTA_LOSS)
    return figure


def _delta_loss_lines(axes: Axes, table: pd.DataFrame, fit: LawFit | None, x: str, line: str) -> None:
    values = sorted(table[line].unique())
    grid = np.geomspace(table[x].min(), table[x].max(), 100)
    for index, (value, colour) in enumerate(zip(values, ordered_colours(len(values)), strict=True)):
        cells, marker = table[table[line] == value], MARKERS[index % len(MARKERS)]
        mean = cells.groupby(x)["delta_loss_nats"].mean()
        axes.plot(mean.index, mean, color=colour, linewidth=0.8, alpha=0.5)
        for saturated, rows in cells.groupby(DEFAULT.excludes(cells)):
            face = "none" if saturated else colour
            axes.plot(rows[x], rows["delta_loss_nats"], marker, color=colour, markerfacecolor=face, markersize=5)
        axes.plot([], [], f"{marker}-", color=colour, label=f"{SYMBOLS[line]} = {value:g}")
        if fit:
            r, l = (grid, value) if x == "lora.rank" else (value, grid)
            predicted = fit.predict(Inputs.grid(r, l, float(table["base_loss_nats"].mean())))
            shown = (predicted > 0) & (predicted < table["base_loss_nats"].max())
            axes.plot(grid[shown], predicted[shown], "--", color=colour)
    plain_ticks(axes, [float(value) for value in table[x].unique()])
    nats_ticks(axes, float(table["delta_loss_nats"].min()), float(table["delta_loss_nats"].max()))
    axes.set_xlabel(NAMES[x])
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, ncols=1 + (len(values) > 8))


def surface_figure(table: pd.DataFrame, fit: LawFit, title: str) -> Figure:
    """ΔL over (log r, log ℓ): the fitted surface as levels, the cells as points (paper, figure 2)."""
    base_loss = float(table["base_loss_nats"].mean())
    caption = f"levels: {fit.form.formula}, R² = {fit.r_squared:.3f} on {len(fit.used)} cells; n = {len(table)} points"
    figure = new_figure(title, caption, 6.6, 5)
    axes = figure.subplots()
    ranks, lengths = (
        np.geomspace(table[name].min() / 1.2, table[name].max() * 1.2, 80) for name in ("lora.rank", "target_tokens")
    )
    r, l = np.meshgrid(ranks, lengths)
    predicted = np.clip(fit.predict(Inputs.grid(r, l, base_loss)), 0, base_loss)
    norm = Normalize(0, base_loss)
    axes.contourf(ranks, lengths, predicted, levels=np.linspace(0, base_loss, 14), norm=norm, cmap="viridis", alpha=0.8)
    points = table.groupby(["lora.rank", "target_tokens"], as_index=False)["delta_loss_nats"].mean()
    drawn = axes.scatter(
        points["lora.rank"], points["target_tokens"], c=points["delta_loss_nats"], norm=norm, s=60, edgecolors="white"
    )
    plain_ticks(axes, list(points["lora.rank"].unique()))
    plain_ticks(axes, list(points["target_tokens"].unique()), "y")
    axes.set_xlabel(NAMES["lora.rank"])
    axes.set_ylabel(NAMES["target_tokens"])
    figure.colorbar(drawn, ax=axes).set_label(DELTA_LOSS)
    return figure


def loss_heat_map(table: pd.DataFrame, title: str) -> Figure:
    """Final loss over (ℓ, r), mean over seeds; log colour scale, ln 2 marked on it (paper, figure 4)."""
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
    """Rank × length as coloured fields with their numbers; empty fields stay white. Returns the image."""
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


def prediction_figure(fits: Sequence[LawFit], title: str) -> Figure:
    """Predicted against true ΔL, a panel per fit, all cells; hollow ones were not fitted (paper, figure 3)."""
    caption = f"n = {len(fits[0].used) + len(fits[0].excluded)} cells; hollow: left out of the fit ({fits[0].rule})"
    figure = new_figure(title, caption, 4.8 * len(fits), 4.8)
    everything = pd.concat([fits[0].used, fits[0].excluded])
    norm = Normalize(*np.log2(everything["lora.rank"].agg(["min", "max"]).to_numpy(float)))
    top = 1.1 * float(everything["delta_loss_nats"].max())
    for axes, fit in zip(np.atleast_1d(figure.subplots(1, len(fits), sharey=True)), fits, strict=True):
        for cells, filled in ((fit.excluded, False), (fit.used, True)):
            colour = np.log2(cells["lora.rank"].to_numpy(float))
            style = {"c": colour, "cmap": "viridis"} if filled else {"edgecolors": GREY, "facecolors": "none"}
            predicted = np.clip(fit.predict_cells(cells), 0, 0.995 * top)  # what lies above is drawn on the edge
            points = axes.scatter(
                cells["delta_loss_nats"], predicted, s=22, norm=norm if filled else None, clip_on=False, **style
            )
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.plot([0, top], [0, top], color="black", linewidth=0.8)
        axes.set_title(f"{fit.form.formula}\nR² = {fit.r_squared:.4f} on {len(fit.used)} cells", fontsize=8)
        axes.set_xlabel("true ΔL (nats per token)")
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("predicted ΔL (nats per token)")
    figure.colorbar(points, ax=figure.axes).set_label("log2 of the rank")
    return figure


def residual_figure(fits: Sequence[LawFit], title: str) -> Figure:
    """Relative residuals over length, a line per rank and a panel per fit: what a form misses is not noise."""
    caption = "; ".join(f"{fit.form.name}: n = {len(fit.used)} cells, {fit.rule}" for fit in fits)
    figure = new_figure(title, caption, 4.8 * len(fits), 4.4)
    for axes, fit in zip(np.atleast_1d(figure.subplots(1, len(fits), sharey=True)), fits, strict=True):
        cells = fit.used.assign(residual=100 * (fit.predict_cells(fit.used) / fit.used["delta_loss_nats"] - 1))
        ranks = sorted(cells["lora.rank"].unique())
        for index, (rank, colour) in enumerate(zip(ranks, ordered_colours(len(ranks)), strict=True)):
            rows = cells[cells["lora.rank"] == rank].groupby("target_tokens")["residual"].mean()
            style = {"marker": MARKERS[index % len(MARKERS)], "markersize": 4, "linewidth": 0.8}
            axes.plot(rows.index, rows, color=colour, label=f"r = {rank:g}", **style)
        axes.axhline(0, color="black", linewidth=0.8)
        plain_ticks(axes, [float(value) for value in cells["target_tokens"].unique()])
        axes.set_title(fit.form.formula, fontsize=8)
        axes.set_xlabel(NAMES["target_tokens"])
        axes.grid(alpha=0.25)
        axes.legend(fontsize=6, ncols=2)
    figure.axes[0].set_ylabel("predicted − true, % of true")
    return figure


def collapse_figure(table: pd.DataFrame, collapse: Collapse, title: str) -> Figure:
    """ΔL/L0 of all cells against r^κ/ℓ: one curve, if rank and length act through that product alone."""
    figure = new_figure(title, f"n = {len(table)} cells, none left out; line: monotone curve", 6.6, 4.8)
    axes = figure.subplots()
    x = table["lora.rank"] ** collapse.kappa / table["target_tokens"]
    share = table["delta_loss_nats"] / table["base_loss_nats"]
    ranks = sorted(table["lora.rank"].unique())
    for index, (rank, colour) in enumerate(zip(ranks, ordered_colours(len(ranks)), strict=True)):
        own = table["lora.rank"] == rank
        axes.scatter(
            x[own], share[own], color=colour, marker=MARKERS[index % len(MARKERS)], s=24, label=f"r = {rank:g}"
        )
    grid = np.geomspace(x.min(), x.max(), 200)
    axes.plot(grid, collapse.share(np.ones_like(grid), 1 / grid), color="black", linewidth=1)
    axes.axhline(1, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    axes.set_xlabel(f"r^κ/ℓ, κ = {collapse.kappa:.2f} (per token)")
    axes.set_ylabel("ΔL / L0")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, ncols=2)
    return figure


def bits_figure(capacity: Capacity, title: str) -> Figure:
    """Memorized bits per parameter over the bits offered per parameter, with the plateau if there is one."""
    cells = capacity.loads
    low, high = capacity.plateau_interval
    ends = f"plateau {capacity.plateau:.2f} ({low:.2f} to {high:.2f})" if capacity.reached else "no plateau reached"
    caption = f"n = {len(cells)} cells, none left out; {ends}; dashed: all that is offered"
    figure = new_figure(title, caption, 6.6, 4.8)
    axes = figure.subplots()
    ranks = sorted(cells["lora.rank"].unique())
    for index, (rank, colour) in enumerate(zip(ranks, ordered_colours(len(ranks)), strict=True)):
        own, marker = cells[cells["lora.rank"] == rank], MARKERS[index % len(MARKERS)]
        axes.scatter(own["load"], own["bits_per_parameter"], color=colour, marker=marker, s=26, label=f"r = {rank:g}")
    grid = np.geomspace(cells["load"].min(), cells["load"].max(), 100)
    axes.plot(grid, grid, "--", color=GREY, linewidth=0.8)
    if capacity.reached:
        axes.plot(grid, leveling(grid, capacity.plateau, capacity.bend), color="black")
        axes.axhspan(low, high, color=BLUE, alpha=0.12)
    for level in LITERATURE.values():
        axes.axhline(level, color=ORANGE, linewidth=0.9, linestyle=":")
        axes.text(grid[0], level, f" {level:g} (literature)", color="#8a5f00", va="bottom", fontsize=7)
    axes.set_xscale("log")
    axes.set_yscale("log")
    top = 2 * max(capacity.best, *LITERATURE.values())
    axes.set_ylim(0.5 * float(cells["bits_per_parameter"].min()), top)
    axes.set_xlabel("offered: ℓ·L0 / ln 2 / N (bits per trainable parameter)")
    axes.set_ylabel("memorized: ℓ·ΔL / ln 2 / N (bits per parameter)")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, ncols=2)
    return figure
