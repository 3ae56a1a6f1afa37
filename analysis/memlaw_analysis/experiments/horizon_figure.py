"""Draw which texts were recalled, and the horizon over the rank. No I/O."""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memlaw_analysis.experiments.brackets import RECALLED, closed
from memlaw_analysis.experiments.censored import Line
from memlaw_analysis.experiments.published import KEPT_KAPPA, PAPER_KAPPA
from memlaw_analysis.figures.style import BLUE, GREY, ORANGE, RED, new_figure, plain_ticks


def horizon_figure(rows: pd.DataFrame, ends: pd.DataFrame, line: Line | None) -> Figure:
    """Draw each cell by whether it was recalled, the brackets of ℓ*, and the fitted line."""
    cells = rows[rows[RECALLED].notna()]
    caption = (
        f"n = {len(cells)} cells; filled: recalled to the last token, hollow: not; bars: brackets of ℓ*, a bar per seed"
    )
    figure = new_figure("The longest text that a rank recalls", caption, 7, 5)
    axes = figure.subplots()
    seeds = sorted(cells["seed"].unique())
    for index, seed in enumerate(seeds):
        shift = 1.06 ** (index - (len(seeds) - 1) / 2)  # seeds side by side
        for whole, face in ((True, BLUE), (False, "white")):
            shown = cells[(cells["seed"] == seed) & ((cells[RECALLED] == 1) == whole)]
            axes.plot(
                shown["lora.rank"] * shift, shown["target_tokens"], "o", color=BLUE, markerfacecolor=face, markersize=4
            )
        bars = ends[(ends["seed"] == seed) & closed(ends)]
        axes.vlines(bars["lora.rank"] * shift, bars["low"], bars["high"], color=ORANGE, linewidth=3, alpha=0.8)
    ranks = np.array([cells["lora.rank"].min(), cells["lora.rank"].max()], dtype=float)
    if line:
        centre = math.exp(line.at_zero + line.slope.value * float(np.log(ranks).mean()))
        for kappa, colour, style, name in (
            (line.slope.value, "black", "-", f"fitted: κ = {line.slope}"),
            (KEPT_KAPPA.value, RED, "--", f"κ = {KEPT_KAPPA.value:.2f}: α/β of our study"),
            (PAPER_KAPPA.value, GREY, ":", f"κ = {PAPER_KAPPA.value:.2f}: α/β of the paper's points"),
        ):
            axes.plot(
                ranks, centre * (ranks / np.sqrt(ranks.prod())) ** kappa, style, color=colour, linewidth=1.1, label=name
            )
        axes.legend(fontsize=8)
    plain_ticks(axes, [float(rank) for rank in cells["lora.rank"].unique()])
    plain_ticks(axes, [float(length) for length in cells["target_tokens"].unique()], "y")
    axes.set_xlim(ranks[0] / 1.5, ranks[1] * 1.5)
    axes.set_xlabel("LoRA rank r")
    axes.set_ylabel("length ℓ (tokens)")
    axes.grid(alpha=0.25)
    return figure
