"""Draw the stored information over the length. No I/O."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memlaw_analysis.experiments.curves import FLAT, Curve
from memlaw_analysis.experiments.published import VECTOR_NATS
from memlaw_analysis.figures.style import GREY, MARKERS, ORANGE, new_figure, ordered_colours, plain_ticks
from memlaw_analysis.law.saturation import DEFAULT


def length_figure(cells: pd.DataFrame, lines: list[Curve], counted: str) -> Figure:
    """Draw stored nats against the length, and the local slope between neighbouring lengths.

    Args:
        cells: of `memlaw_analysis.experiments.curves.stored`.
        lines: their curves.
        counted: where the information is counted from, in words.
    """
    caption = f"n = {len(cells)} cells, seeds averaged; hollow: over {DEFAULT.at:.0%} stored; dashed: the whole text"
    figure = new_figure("What an adapter stores, by the length of the text", caption, 10, 4.8)
    left, right = figure.subplots(1, 2)
    steps, ranks = sorted(cells["steps"].unique()), sorted(cells["lora.rank"].unique())
    colours = dict(zip(steps, ordered_colours(len(steps)), strict=True))
    markers = dict(zip(ranks, MARKERS, strict=False))
    for (rank, count), rows in cells.groupby(["lora.rank", "steps"]):
        look = {"color": colours[count], "marker": markers[rank], "markersize": 5}
        left.plot(rows["target_tokens"], rows["nats"], linewidth=0.9, label=f"r = {rank:g}, {count:g} steps", **look)
        full = rows[DEFAULT.excludes(rows)]
        left.plot(full["target_tokens"], full["nats"], linestyle="none", markerfacecolor="white", **look)
    for curve in lines:
        x, y = np.log(curve.cells["target_tokens"].to_numpy(float)), np.log(curve.cells["nats"].to_numpy(float))
        look = {"color": colours[curve.steps], "marker": markers[curve.rank], "markersize": 5}
        right.plot(np.exp((x[1:] + x[:-1]) / 2), np.diff(y) / np.diff(x), linewidth=0.9, **look)
    offered = cells.groupby("target_tokens")["offered"].mean()
    left.plot(offered.index, offered, "--", color=GREY, linewidth=0.8)
    left.axhline(VECTOR_NATS.value, color=ORANGE, linewidth=0.9, linestyle=":")
    vector = "one input vector, Pythia-160M"
    left.text(offered.index[-1], VECTOR_NATS.value, vector, color="#8a5f00", fontsize=7, ha="right", va="bottom")
    at_left = right.get_yaxis_transform()
    for level, name in ((FLAT, "constant, up to here"), (1, "all is stored")):
        right.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
        right.text(0.01, level, name, color="#555555", fontsize=7, va="bottom", transform=at_left)
    lengths = [float(length) for length in sorted(cells["target_tokens"].unique())]
    plain_ticks(left, lengths)
    plain_ticks(right, lengths)
    right.set_xlim(left.get_xlim())
    low, high = cells["nats"].min() / 1.5, 1.5 * offered.max()
    plain_ticks(left, [2.0**power for power in range(4, 24) if low < 2**power < high], "y")
    left.set_ylabel(f"stored {counted} (nats)")
    right.set_ylabel("local slope d ln(nats) / d ln ℓ")
    for axes in (left, right):
        axes.set_xlabel("length ℓ (tokens)")
        axes.grid(alpha=0.25)
    left.legend(fontsize=7)
    return figure
