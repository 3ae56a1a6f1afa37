"""Draw the stored share of tables beside that of texts of equal bits. No I/O."""

import pandas as pd
from matplotlib.figure import Figure

from memlaw_analysis.figures.style import MARKERS, new_figure, ordered_colours, plain_ticks


def pairs_figure(cells: pd.DataFrame) -> Figure:
    """Draw shares over the rank, a colour per number of pairs; dashed: the text of equal bits.

    Args:
        cells: of `memlaw_analysis.experiments.pairs.matched`.
    """
    caption = f"n = {len(cells)} tables, seeds averaged; dashed: one random text of equal bits"
    figure = new_figure("What is stored of many pairs, and of one text of equal bits", caption, 6, 4.6)
    axes = figure.subplots()
    groups = list(cells.groupby("pairs"))
    for (pairs, group), colour, marker in zip(groups, ordered_colours(len(groups)), MARKERS, strict=False):
        means = group.groupby("lora.rank")[["share", "share_text"]].mean()
        axes.plot(means.index, means["share"], marker=marker, color=colour, label=f"{pairs:g} pairs")
        axes.plot(means.index, means["share_text"], "--", marker=marker, color=colour, markerfacecolor="white")
    plain_ticks(axes, sorted(map(float, cells["lora.rank"].unique())))
    axes.set_xlabel("LoRA rank r")
    axes.set_ylabel("stored share ΔL/L0")
    axes.set_ylim(0, 1.03)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7)
    return figure
