"""Draw what adapters remember of someone's own data. No I/O."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memlaw.study.verification import BASE
from memlaw_analysis.figures.style import CYCLE, GREY, new_figure

_BINS, _POSITIONS = 50, 100
_LINES = ("-", "--", "-.", ":")


def probabilities_figure(tokens: pd.DataFrame, title: str) -> Figure:
    """Draw how many target tokens have which probability, a line per adapter and one for the base model.

    Counts are logarithmic, so that a few stubborn tokens are seen beside thousands of recalled ones.

    Args:
        tokens: with the columns of `memlaw.study.verification.TOKEN_COLUMNS`.
        title: of the figure.
    """
    caption = f"n = {_target_tokens(tokens)} target tokens; dashed: p = 0.5, above which a token is certain of recall"
    figure = new_figure(title, caption, 9, 4)
    axes = figure.subplots()
    edges = np.linspace(0, 1, _BINS + 1)
    for name, nll, style in _lines(tokens):
        axes.stairs(np.histogram(np.exp(-nll), edges)[0], edges, label=name, linewidth=1.4, **style)
    axes.axvline(0.5, color="black", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    axes.set_xlabel("p of the target token")
    axes.set_ylabel("target tokens")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    return figure


def bits_by_position_figure(tokens: pd.DataFrame, title: str) -> Figure:
    """Draw bits by position in the target, mean over pairs, a line per adapter and one for the base model.

    The base model's line is what is to be stored; an adapter's is what is still missing.

    Args:
        tokens: with the columns of `memlaw.study.verification.TOKEN_COLUMNS`.
        title: of the figure.
    """
    longest = int(tokens["position"].max()) + 1
    width = -(-longest // _POSITIONS)
    grouped = "" if width == 1 else f", mean over {width} positions"
    caption = f"n = {_target_tokens(tokens)} target tokens{grouped}; dashed: 1 bit, p = 0.5"
    figure = new_figure(title, caption, 9, 4)
    axes = figure.subplots()
    for name, nll, style in _lines(tokens):
        bits = (nll / np.log(2)).groupby(tokens["position"] // width * width).mean()
        axes.plot(bits.index, bits, label=name, linewidth=1.4, marker="." if len(bits) < 40 else "", **style)
    axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set_yscale("symlog", linthresh=0.01)
    axes.set_ylim(0, 2 * axes.dataLim.ymax)
    axes.set_xlabel("position in the target, from 0")
    axes.set_ylabel("−log2 p (bits per token)")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8)
    return figure


def _lines(tokens: pd.DataFrame) -> Iterator[tuple[str, pd.Series, dict[str, Any]]]:
    """Yield the name, the NLL and the style of each line: the base model, then each adapter."""
    names = tokens["adapter"].unique()
    yield "base model", tokens.loc[tokens["adapter"] == names[0], "base_nll"], {"color": GREY}
    for index, name in enumerate(names[names != BASE]):
        style = {"color": CYCLE[index % 5], "linestyle": _LINES[index // 5 % len(_LINES)]}
        yield name.replace("$", r"\$"), tokens.loc[tokens["adapter"] == name, "nll"], style


def _target_tokens(tokens: pd.DataFrame) -> int:
    return int((tokens["adapter"] == tokens["adapter"].iloc[0]).sum())
