"""Draw the law and its cells: ΔL over rank and length, by model, and collapsed. No I/O."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from memlaw_analysis.figures.style import (
    DELTA_LOSS,
    GREY,
    MARKERS,
    NAMES,
    SYMBOLS,
    nats_ticks,
    new_figure,
    ordered_colours,
    plain_ticks,
)
from memlaw_analysis.law.collapse import Collapse
from memlaw_analysis.law.fit import LawFit
from memlaw_analysis.law.forms import Inputs
from memlaw_analysis.law.saturation import DEFAULT


def law_figure(table: pd.DataFrame, fit: LawFit | None, title: str) -> Figure:
    """Draw ΔL against r, a line per ℓ, and against ℓ, a line per r; log–log, the fit dashed (paper, figure 1).

    Filled markers were fitted, hollow ones are saturated. Seeds of a cell are drawn as separate markers.
    """
    caption = f"n = {len(table)} cells; hollow: saturated, {DEFAULT} ({int(DEFAULT.excludes(table).sum())}), not fitted"
    if fit:
        p = fit.values
        offset = f" {p['b']:+.2f}" if p["b"] else ""
        caption += (
            f"; dashed: {p['C']:.3g}·r^{p['alpha']:.2f}·ℓ^−{p['beta']:.2f}{offset}, "
            f"R² = {fit.r_squared:.3f}, mean error {fit.mean_relative_error:.1%} on {len(fit.used)} cells"
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
    """Draw ΔL over (log r, log ℓ): the fitted surface as levels, the cells as points (paper, figure 2)."""
    base_loss = float(table["base_loss_nats"].mean())
    quality = f"R² = {fit.r_squared:.3f}, mean error {fit.mean_relative_error:.1%} on {len(fit.used)} cells"
    caption = f"levels: {fit.form.formula}, {quality}; n = {len(table)} points"
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


def collapse_figure(table: pd.DataFrame, collapse: Collapse, title: str) -> Figure:
    """Draw ΔL/L0 of all cells against r^κ/ℓ: one curve, if rank and length act through that product alone."""
    figure = new_figure(title, f"n = {len(table)} cells, none left out; line: monotone curve", 6.6, 4.8)
    axes = figure.subplots()
    x = table["lora.rank"] ** collapse.kappa / table["target_tokens"]
    share = table["delta_loss_nats"] / table["base_loss_nats"]
    ranks = sorted(table["lora.rank"].unique())
    for index, (rank, colour) in enumerate(zip(ranks, ordered_colours(len(ranks)), strict=True)):
        chosen = table["lora.rank"] == rank
        axes.scatter(
            x[chosen], share[chosen], color=colour, marker=MARKERS[index % len(MARKERS)], s=24, label=f"r = {rank:g}"
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


def models_figure(cells: pd.DataFrame, title: str) -> Figure:
    """Draw ΔL against tokens per rank, a colour per model.

    Args:
        cells: of several models: `model.name`, `base_parameters`, `lora.rank`, `target_tokens`, `delta_loss_nats`.
        title: of the figure.
    """
    figure = new_figure(title, f"n = {len(cells)} cells, a point each", 6.6, 4.6)
    axes = figure.subplots()
    order = cells.groupby("model.name")["base_parameters"].first().sort_values()
    for (name, size), colour in zip(order.items(), ordered_colours(len(order)), strict=True):
        rows = cells[cells["model.name"] == name]
        axes.scatter(rows["target_tokens"] / rows["lora.rank"], rows["delta_loss_nats"], color=colour, s=22,
                     label=f"{name} ({size / 1e6:.3g} M)")  # fmt: skip
    plain_ticks(axes, [float(v) for v in (cells["target_tokens"] / cells["lora.rank"]).unique()])
    axes.set_xlabel("ℓ / r (tokens per rank)")
    axes.set_ylabel(DELTA_LOSS)
    axes.legend(fontsize=7)
    axes.grid(alpha=0.25)
    return figure
