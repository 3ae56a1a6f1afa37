"""Draw how well fits predict the cells. No I/O."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from memlaw_analysis.figures.style import GREY, MARKERS, NAMES, new_figure, ordered_colours, plain_ticks
from memlaw_analysis.law.fit import LawFit


def prediction_figure(fits: Sequence[LawFit], title: str) -> Figure:
    """Draw predicted against true ΔL of all cells, a panel per fit; hollow cells were not fitted (paper, figure 3)."""
    caption = f"n = {len(fits[0].used) + len(fits[0].excluded)} cells; hollow: left out of the fit ({fits[0].rule})"
    figure = new_figure(title, caption, 4.8 * len(fits), 4.8)
    everything = pd.concat([fits[0].used, fits[0].excluded])
    norm = Normalize(*np.log2(everything["lora.rank"].agg(["min", "max"]).to_numpy(float)))
    top = 1.1 * float(everything["delta_loss_nats"].max())
    for axes, fit in zip(np.atleast_1d(figure.subplots(1, len(fits), sharey=True)), fits, strict=True):
        for cells, filled in ((fit.excluded, False), (fit.used, True)):
            colour = np.log2(cells["lora.rank"].to_numpy(float))
            style = {"c": colour, "cmap": "viridis"} if filled else {"edgecolors": GREY, "facecolors": "none"}
            predicted = np.clip(fit.predict_cells(cells), 0, 0.995 * top)  # points above are drawn on the edge
            points = axes.scatter(
                cells["delta_loss_nats"], predicted, s=22, norm=norm if filled else None, clip_on=False, **style
            )
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.plot([0, top], [0, top], color="black", linewidth=0.8)
        axes.set_title(
            f"{fit.form.formula}\nR² = {fit.r_squared:.4f}, mean error "
            f"{fit.mean_relative_error:.1%} on {len(fit.used)} cells",
            fontsize=8,
        )
        axes.set_xlabel("true ΔL (nats per token)")
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("predicted ΔL (nats per token)")
    figure.colorbar(points, ax=figure.axes).set_label("log2 of the rank")
    return figure


def residual_figure(fits: Sequence[LawFit], title: str) -> Figure:
    """Draw relative residuals over length, a line per rank and a panel per fit. Lines that bend show a wrong form."""
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
