"""Draw capacity: memorized bits per parameter over the bits offered. No I/O."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlaw_analysis.figures.style import BLUE, GREY, MARKERS, ORANGE, new_figure, ordered_colours
from memlaw_analysis.law.capacity import LITERATURE, Capacity, leveling


def bits_figure(capacities: Sequence[Capacity], title: str) -> Figure:
    """Draw memorized bits over the bits offered, both per parameter, with the plateau if there is one.

    Args:
        capacities: of the same cells, side by side: per trainable, and perhaps per effective parameter.
        title: of the figure.
    """
    counts = ", ".join(dict.fromkeys(str(len(capacity.loads)) for capacity in capacities))
    caption = f"n = {counts} cells, none left out; dashed: all that is offered"
    figure = new_figure(title, caption, 1.8 + 4.8 * len(capacities), 4.8)
    panels = figure.subplots(1, len(capacities), sharex=True, sharey=True, squeeze=False)[0]
    for axes, capacity in zip(panels, capacities, strict=True):
        _draw(axes, capacity)
    panels[0].set_ylim(
        0.5 * min(float(capacity.loads["bits_per_parameter"].min()) for capacity in capacities),
        2 * max(*(capacity.best for capacity in capacities), *LITERATURE.values()),
    )
    panels[0].legend(fontsize=7, ncols=2)
    return figure


def _draw(axes: Axes, capacity: Capacity) -> None:
    cells = capacity.loads
    low, high = capacity.plateau_interval
    ranks = sorted(cells["lora.rank"].unique())
    for index, (rank, colour) in enumerate(zip(ranks, ordered_colours(len(ranks)), strict=True)):
        rows, marker = cells[cells["lora.rank"] == rank], MARKERS[index % len(MARKERS)]
        axes.scatter(rows["load"], rows["bits_per_parameter"], color=colour, marker=marker, s=26, label=f"r = {rank:g}")
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
    ends = f"plateau {capacity.plateau:.2f} ({low:.2f} to {high:.2f})" if capacity.reached else "no plateau reached"
    axes.set_title(f"N: {capacity.parameter}s; {ends}", fontsize=8)
    axes.set_xlabel(f"offered: ℓ·L0 / ln 2 / N (bits per {capacity.parameter})")
    axes.set_ylabel(f"memorized: ℓ·ΔL / ln 2 / N (bits per {capacity.parameter})")
    axes.grid(alpha=0.25)
