"""Draw how ΔL converges with the steps, and the settings of the optimizer beside the reference. No I/O."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlaw_analysis.experiments.extrapolation import Convergence
from memlaw_analysis.experiments.settings import Compared
from memlaw_analysis.figures.style import CYCLE, DELTA_LOSS, GREY, MARKERS, new_figure, ordered_colours, plain_ticks
from memlaw_analysis.law.saturation import DEFAULT


def convergence_figure(trained: pd.DataFrame, converged: Convergence | None, compared: list[Compared]) -> Figure:
    """Draw ΔL over the steps with its extrapolation and, where others were tried, the settings of the optimizer.

    Args:
        trained: cells of the reference setting, seeds averaged.
        converged: their extrapolation.
        compared: other settings.
    """
    measured = [each for each in compared if each.ratio]
    caption = f"n = {len(trained)} cells, seeds averaged; hollow: saturated, {DEFAULT}; dotted: extrapolated"
    figure = new_figure("What more steps and other settings bring", caption, 10.5 if measured else 6, 4.8)
    axes = figure.subplots(1, 1 + bool(measured), squeeze=False)[0]
    _steps(axes[0], trained, converged)
    if measured:
        _settings(axes[1], measured)
    return figure


def _steps(axes: Axes, trained: pd.DataFrame, converged: Convergence | None) -> None:
    ranks, lengths = sorted(trained["lora.rank"].unique()), sorted(trained["target_tokens"].unique())
    colours = dict(zip(lengths, ordered_colours(len(lengths)), strict=True))
    markers = {rank: MARKERS[index % len(MARKERS)] for index, rank in enumerate(ranks)}
    for (rank, length), cells in trained.groupby(["lora.rank", "target_tokens"]):
        line = cells.sort_values("steps")
        look = {"color": colours[length], "marker": markers[rank], "markersize": 5}
        axes.plot(line["steps"], line["delta_loss_nats"], linewidth=0.9, **look)
        full = line[DEFAULT.excludes(line)]
        axes.plot(full["steps"], full["delta_loss_nats"], linestyle="none", markerfacecolor="white", **look)
    if converged and converged.identified:
        grid = np.geomspace(trained["steps"].min(), 10 * trained["steps"].max(), 60)
        for _, point in converged.points.iterrows():
            curve = point["delta_loss_nats"] - point["amplitude"] * grid**-converged.power.value
            axes.plot(grid, curve, ":", color=colours[point["target_tokens"]], linewidth=1)
    for length, colour in colours.items():
        axes.plot([], [], color=colour, label=f"ℓ = {length:g}")
    for rank, marker in markers.items():
        axes.plot([], [], marker, color=GREY, label=f"r = {rank:g}")
    plain_ticks(axes, [float(steps) for steps in trained["steps"].unique()])
    axes.set_ylim(0, 1.35 * float(trained["delta_loss_nats"].max()))  # room for the legend
    axes.set_xlabel("optimizer steps")
    axes.set_ylabel(DELTA_LOSS)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, ncols=2)


def _settings(axes: Axes, measured: list[Compared]) -> None:
    names = list(dict.fromkeys(each.setting for each in measured))
    steps = sorted({each.steps for each in measured})
    for index, count in enumerate(steps):
        shown = [each for each in measured if each.steps == count]
        places = [names.index(each.setting) + 0.15 * (index - (len(steps) - 1) / 2) for each in shown]
        ratios = [each.ratio for each in shown if each.ratio]
        axes.hlines(
            places, [ratio.low for ratio in ratios], [ratio.high for ratio in ratios], color=CYCLE[index], linewidth=1.2
        )
        axes.plot(
            [ratio.value for ratio in ratios],
            places,
            MARKERS[index],
            color=CYCLE[index],
            markersize=5,
            label=f"{count} steps",
        )
    values = [ratio.value for ratio in (each.ratio for each in measured) if ratio]
    axes.axvline(1, color=GREY, linewidth=0.8)
    axes.set_xlim(min(0.8, min(values) - 0.1), max(1.2, max(values) + 0.1))  # wide intervals run off the edge
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("ΔL over that of the reference (bars: 95 %)")
    axes.grid(alpha=0.25, axis="x")
    axes.legend(fontsize=7)
