"""Draw tokens and how they are learned. No I/O."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from memlaw_analysis.figures.style import (
    BLUE,
    CYCLE,
    GREY,
    NAMES,
    PROBABILITY_MAP,
    RED,
    new_figure,
    ordered_colours,
)


def transition_figure(table: pd.DataFrame, failures: pd.DataFrame, title: str) -> Figure:
    """Draw P(argmax right | p) over all tokens, and each first failure against its lower bound (paper, figure 6).

    Args:
        table: `memlaw_analysis.recall.transition.transition`.
        failures: `memlaw_analysis.recall.transition.first_failures`.
        title: of the figure.
    """
    caption = (
        f"n = {int(table['tokens'].sum())} tokens of {failures['cell'].nunique()} cells; "
        f"right: {len(failures)} pairs, at the target's length where there is no failure"
    )
    figure = new_figure(title, caption, 10, 4.6)
    left, right = figure.subplots(1, 2)
    middle, width = (table["low"] + table["high"]) / 2, table["high"] - table["low"]
    left.bar(middle, table["right"], width=width, color=BLUE, edgecolor="white")
    left.axvline(0.5, color="black", linewidth=0.9, linestyle="--")
    left.text(0.5, 1.02, "p = 0.5", ha="center", fontsize=8, transform=left.get_xaxis_transform())
    left.set_xlabel("probability of the target token")
    left.set_ylabel("share of tokens that are the argmax")
    fails = failures["first_wrong"] < failures["length"]
    for rows, face, name in ((failures[fails], BLUE, "fails"), (failures[~fails], "none", "recalled verbatim")):
        right.scatter(
            rows["first_stubborn"] + 1, rows["first_wrong"] + 1, s=24, facecolors=face, edgecolors=BLUE, label=name
        )
    right.legend(fontsize=8)
    top = max(2, int(failures["length"].max()) + 1)
    right.plot([1, top], [1, top], color="black", linewidth=0.8)
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xlabel("first token with p ≤ 0.5, from 1 (lower bound)")
    right.set_ylabel("first wrong argmax, from 1")
    for axes in (left, right):
        axes.grid(alpha=0.25)
    return figure


def failures_figure(positions: pd.Series, failures: pd.DataFrame, title: str) -> Figure:
    """Draw where failures fall along the target: all wrong tokens, and the first one of each pair (paper, figure 7).

    Args:
        positions: relative position, 0 to 1, of each wrong argmax
            (`memlaw_analysis.recall.transition.wrong_positions`).
        failures: `memlaw_analysis.recall.transition.first_failures`.
        title: of the figure.
    """
    first = failures[failures["first_wrong"] < failures["length"]]
    caption = f"n = {len(positions)} wrong tokens; {len(first)} of {len(failures)} pairs fail; dashed: no preference"
    figure = new_figure(title, caption, 9, 4)
    for axes, values, name in zip(
        figure.subplots(1, 2),
        (positions, first["first_wrong"] / first["length"]),
        ("all tokens whose argmax is wrong", "the first of each pair"),
        strict=True,
    ):
        bins = np.linspace(0, 1, 21)
        if len(values):
            axes.hist(values, bins=bins, color=BLUE, edgecolor="white", weights=np.full(len(values), 1 / len(values)))
            axes.axhline(1 / 20, color="black", linewidth=0.8, linestyle="--")
        else:
            axes.text(0.5, 0.5, "none", ha="center", transform=axes.transAxes)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("position / length of the target")
        axes.set_ylabel("share")
        axes.grid(alpha=0.25)
    return figure


def positions_figure(tokens: pd.DataFrame, ranks: Mapping[str, float], title: str) -> Figure:
    """Draw the probability at every position, a row per rank; the colours turn at p = 0.5 (paper, figure 8).

    Args:
        tokens: the last evaluation of cells of one length, one per rank.
        ranks: rank of each of these cells.
        title: of the figure.
    """
    cells = sorted(ranks, key=lambda cell: ranks[cell])
    rows = [tokens.loc[tokens["cell"] == cell, "p"].to_numpy(float) for cell in cells]
    longest = max(len(row) for row in rows)
    grid = np.stack([np.pad(row, (0, longest - len(row)), constant_values=np.nan) for row in rows])
    caption = f"n = {len(cells)} cells of {longest} tokens, one seed; orange is p ≤ 0.5 (stubborn), purple p > 0.5"
    figure = new_figure(title, caption, 10, 1.8 + 0.4 * len(cells))
    axes = figure.subplots()
    image = axes.imshow(grid, norm=Normalize(0, 1), cmap=PROBABILITY_MAP, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(cells)), [f"{ranks[cell]:g}" for cell in cells])
    axes.set_ylabel(NAMES["lora.rank"])
    axes.set_xlabel("position in the target (tokens; pairs one after another)")
    bar = figure.colorbar(image, ax=axes)
    bar.set_label("p of the target token")
    bar.ax.axhline(0.5, color="black")
    return figure


def probability_figure(history: pd.DataFrame, ranks: Mapping[str, float], title: str) -> Figure:
    """Draw how the tokens' probabilities evolve, a panel per rank: median and quantiles over tokens (paper, figure 5).

    Args:
        history: `memlaw_analysis.recall.dynamics.evaluations` of cells of one length, one per rank.
        ranks: rank of each of these cells.
        title: of the figure.
    """
    cells = sorted(ranks, key=lambda cell: ranks[cell])
    caption = f"n = {len(cells)} cells, one seed; line: median over tokens, bands: 25–75 % and 10–90 %"
    figure = new_figure(title, caption, max(5.0, 2.1 * len(cells)), 3.6)
    for axes, cell in zip(np.atleast_1d(figure.subplots(1, len(cells), sharey=True)), cells, strict=True):
        rows = history[history["cell"] == cell].sort_values("step")
        steps = rows["step"] + 1
        axes.fill_between(steps, rows["p10"], rows["p90"], color=BLUE, alpha=0.15, linewidth=0)
        axes.fill_between(steps, rows["p25"], rows["p75"], color=BLUE, alpha=0.3, linewidth=0)
        axes.plot(steps, rows["p50"], color=BLUE)
        axes.axhline(0.5, color="black", linewidth=0.8, linestyle="--")
        axes.set_xscale("log")
        axes.set_title(f"r = {ranks[cell]:g}", fontsize=9)
        axes.set_xlabel("step + 1")
        axes.grid(alpha=0.25)
    figure.axes[0].set_ylabel("p of the target token")
    return figure


def curves_figure(history: pd.DataFrame, ranks: Mapping[str, float], methods: Mapping[str, str], title: str) -> Figure:
    """Draw loss and recalled share over steps, a colour per rank, a line style per method (paper, figure 9).

    Args:
        history: `memlaw_analysis.recall.dynamics.evaluations` of cells of one length.
        ranks, methods: of each cell.
        title: of the figure.
    """
    values, names = sorted(set(ranks.values())), sorted(set(methods.values()))
    colours = dict(zip(values, ordered_colours(len(values)), strict=True))
    styles = dict(zip(names, ("-", "--", ":", "-."), strict=False))
    caption = f"n = {len(ranks)} cells; dashed line: ln 2, the loss at p = 0.5; {', '.join(names)}"
    figure = new_figure(title, caption, 10, 4.2)
    loss, recalled = figure.subplots(1, 2)
    for cell, rank in ranks.items():
        rows = history[history["cell"] == cell].sort_values("step")
        style = {"color": colours[rank], "linestyle": styles[methods[cell]], "linewidth": 1.2}
        loss.plot(rows["step"] + 1, rows["loss_nats"].clip(lower=1e-4), **style)
        recalled.plot(rows["step"] + 1, rows["recalled_share"], **style)
    for rank, colour in colours.items():
        loss.plot([], [], color=colour, label=f"r = {rank:g}")
    loss.axhline(np.log(2), color=RED, linewidth=0.8, linestyle="--")
    loss.set_yscale("log")
    loss.set_ylabel("mean loss L (nats per token)")
    recalled.set_ylabel("share of tokens with p > 0.5")
    for axes in (loss, recalled):
        axes.set_xscale("log")
        axes.set_xlabel("step + 1")
        axes.grid(alpha=0.25)
    loss.legend(fontsize=7)
    return figure


def recall_figure(cells: pd.DataFrame, title: str) -> Figure:
    """Draw the recalled share over ΔL/L0, and the share of the text before the first failure: the two decouple.

    Args:
        cells: `delta_loss_nats`, `base_loss_nats`, `recalled_share` and `first_wrong_share`.
        title: of the figure.
    """
    caption = f"n = {len(cells)} cells; a low mean loss is not yet a text recalled verbatim"
    figure = new_figure(title, caption, 6.6, 4.4)
    axes = figure.subplots()
    share = cells["delta_loss_nats"] / cells["base_loss_nats"]
    axes.scatter(share, cells["recalled_share"], s=24, color=CYCLE[0], label="tokens with p > 0.5")
    axes.scatter(
        share, cells["first_wrong_share"], s=24, color=CYCLE[1], marker="^", label="text before the first failure"
    )
    axes.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel("ΔL / L0")
    axes.set_ylabel("share")
    axes.legend(fontsize=8)
    axes.grid(alpha=0.25)
    return figure
