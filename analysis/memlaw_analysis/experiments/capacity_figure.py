"""Draw the bits that adapters hold over the bits that they are offered. No I/O."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memlaw_analysis.experiments.published import FACT_BITS, TOKEN_BITS
from memlaw_analysis.figures.style import CYCLE, GREY, MARKERS, ORANGE, new_figure, plain_ticks
from memlaw_analysis.law.capacity import COUNTS, loads

_TICKS = [2.0**power for power in range(-6, 12)]


def capacity_figure(rows: pd.DataFrame, origin: str) -> Figure:
    """Draw bits per parameter over the load, plain and effective.

    Args:
        rows: of the experiment.
        origin: where their information is counted from, in words.
    """
    counts = [count for count in COUNTS if (rows[count] > 0).any()]
    figure = new_figure("Bits that an adapter holds, by the bits that it is offered",
                        f"n = {len(rows)} cells; dashed: all that is offered; dotted: whole models",
                        5 * len(counts) + 0.6, 4.8)  # fmt: skip
    for axes, count in zip(figure.subplots(1, len(counts), squeeze=False)[0], counts, strict=True):
        cells = rows[rows[count] > 0]
        points = loads(cells, count).assign(precision=cells["precision"], steps=cells["steps"])
        groups = points.groupby(["precision", "steps"])
        for index, ((precision, steps), shown) in enumerate(groups):
            axes.plot(shown["load"], shown["bits_per_parameter"], MARKERS[index], color=CYCLE[index % len(CYCLE)],
                      markersize=5, alpha=0.85, label=f"{precision}, {steps:g} steps")  # fmt: skip
        grid = np.geomspace(points["load"].min(), points["load"].max(), 50)
        axes.plot(grid, grid, "--", color=GREY, linewidth=0.8)
        for level in (FACT_BITS.value, *(bits.value for bits in TOKEN_BITS)):
            axes.axhline(level, color=ORANGE, linewidth=0.9, linestyle=":")
        plain_ticks(axes, [tick for tick in _TICKS if points["load"].min() <= tick <= points["load"].max()] or [1.0])
        axes.set_ylim(0, 1.15 * max(float(points["bits_per_parameter"].max()), TOKEN_BITS[1].value))
        axes.set_xlabel(f"offered: the whole text (bits per {COUNTS[count]})")
        axes.set_ylabel(f"stored {origin}\n(bits per {COUNTS[count]})")
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7)
    return figure
