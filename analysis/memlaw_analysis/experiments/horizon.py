"""The horizon ℓ*(r): the longest random text that a rank recalls to the last token, and how it grows with the rank."""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memlaw_analysis.experiments.censored import Line, fit_line
from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.published import KEPT_KAPPA, PAPER_KAPPA
from memlaw_analysis.figures.style import BLUE, GREY, ORANGE, RED, new_figure, plain_ticks
from memlaw_analysis.law.enough import TooFewCells

RECALLED = "recall_exact_share"
"""1 where greedy decoding from the query alone brings the whole text back."""


def brackets(rows: pd.DataFrame) -> pd.DataFrame:
    """Bracket ℓ* of each rank and seed, from cells whose recall was measured.

    ℓ* lies between the longest recalled and the shortest text that was not. Where a longer text was recalled and a
    shorter one was not, it lies between these two all the same, and `orderly` is false.

    Columns: lora.rank, seed, cells, low (0: nothing was recalled), high (∞: everything was), orderly,
    bits_per_token (L0/ln 2) and trainable_parameters.
    """
    found = []
    for (rank, seed), cells in rows[rows[RECALLED].notna()].groupby(["lora.rank", "seed"]):
        whole = cells[RECALLED] == 1
        recalled, failed = cells.loc[whole, "target_tokens"], cells.loc[~whole, "target_tokens"]
        longest = float(recalled.max()) if len(recalled) else 0.0
        shortest = float(failed.min()) if len(failed) else math.inf
        found.append(
            {
                "lora.rank": rank,
                "seed": seed,
                "cells": len(cells),
                "low": min(longest, shortest),
                "high": max(longest, shortest),
                "orderly": longest < shortest,
                "bits_per_token": cells["base_loss_nats"].mean() / math.log(2),
                "trainable_parameters": cells["trainable_parameters"].iloc[0],
            }
        )
    names = ["lora.rank", "seed", "cells", "low", "high", "orderly", "bits_per_token", "trainable_parameters"]
    return pd.DataFrame(found, columns=names)


def horizons(found: pd.DataFrame) -> pd.DataFrame:
    """Return ℓ* of each rank: a row per rank with a bracket of two ends.

    Columns: lora.rank, length (geometric mean of the brackets' middles), low, high (ends over all seeds), bits: bits
    per parameter of a text of that length.
    """
    closed = found[_closed(found)]
    table = []
    for rank, seeds in closed.groupby("lora.rank"):
        length = float(np.exp(np.log(np.sqrt(seeds["low"] * seeds["high"])).mean()))
        bits = length * seeds["bits_per_token"].mean() / seeds["trainable_parameters"].iloc[0]
        table.append(
            {"lora.rank": rank, "length": length, "low": seeds["low"].min(), "high": seeds["high"].max(), "bits": bits}
        )
    return pd.DataFrame(table, columns=["lora.rank", "length", "low", "high", "bits"])


def _closed(found: pd.DataFrame) -> pd.Series:
    return (found["low"] > 0) & np.isfinite(found["high"])


def horizon_line(found: pd.DataFrame) -> Line:
    """Fit ln ℓ* = at_zero + slope · ln r to brackets.

    Raises:
        TooFewCells: fewer than three ranks with a bracket of two ends.
    """
    with np.errstate(divide="ignore"):
        low, high = np.log(found["low"].to_numpy(float)), np.log(found["high"].to_numpy(float))
    return fit_line(np.log(found["lora.rank"].to_numpy(float)), low, high)


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `horizon`."""
    found = brackets(rows)
    table = horizons(found)
    try:
        line = horizon_line(found)
    except TooFewCells as error:
        line, claims = None, [Claim(Stance.OPEN, f"Open: {error}.")]
    else:
        claims = [_slope_claim(line.slope, table)]
    claims += _capacity_claims(table)
    return Outcome(
        claims=ordered(claims),
        numbers={
            "slope": line.slope if line else None,
            "at_rank_1": math.exp(line.at_zero) if line else None,
            "spread": line.spread if line else None,
            "brackets": int(_closed(found).sum()),
            "disorderly": int((~found["orderly"]).sum()),
        },
        tables={"horizons": _table(found, table)},
        figure=_figure(rows, found, line),
    )


def _slope_claim(slope: Estimate, table: pd.DataFrame) -> Claim:
    ranks = f"r = {table['lora.rank'].min():g} to {table['lora.rank'].max():g}"
    text = f"over {ranks} the longest recalled text grows like r^κ with κ = {slope}"
    ours, paper = slope.includes(KEPT_KAPPA.value), slope.includes(PAPER_KAPPA.value)
    references = f"{KEPT_KAPPA.value:.2f} (α/β of our study) and {PAPER_KAPPA.value:.2f} (of the paper's points)"
    if ours and paper:
        return Claim(Stance.FOR, f"**The horizon follows α/β of the law**: {text}, which holds both {references}.")
    if ours or paper:
        held, missed = (KEPT_KAPPA, PAPER_KAPPA) if ours else (PAPER_KAPPA, KEPT_KAPPA)
        return Claim(
            Stance.AGAINST if paper else Stance.FOR,
            f"**Of two values of α/β the horizon allows one**: {text}, which holds {held.value:.2f} ({held.source}) and "
            f"not {missed.value:.2f} ({missed.source}).",
        )
    side = "more slowly" if slope.high < min(KEPT_KAPPA.value, PAPER_KAPPA.value) else "otherwise"
    linear = " It holds 1: a text in proportion to the rank." if slope.includes(1) else ""
    return Claim(
        Stance.AGAINST,
        f"**The horizon grows {side} than α/β of the law says**: {text}, which holds neither {references}.{linear}",
    )


def _capacity_claims(table: pd.DataFrame) -> list[Claim]:
    """Bits per parameter of the longest recalled text, at the smallest and the largest rank."""
    if len(table) < 2:
        return []
    small, large = table.iloc[0], table.iloc[-1]
    text = (
        f"Recalled to the last token, a parameter holds {small['bits']:.2f} bits at r = {small['lora.rank']:g} "
        f"(ℓ* ≈ {small['length']:.0f}) and {large['bits']:.2f} at r = {large['lora.rank']:g} (ℓ* ≈ {large['length']:.0f})."
    )
    return [Claim(Stance.OPEN, text)]


def _table(found: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for rank, seeds in found.groupby("lora.rank"):
        known = table[table["lora.rank"] == rank]
        rows.append(
            {
                "r": rank,
                "seeds": len(seeds),
                "cells": int(seeds["cells"].sum()),
                "ℓ* between": "; ".join(_bracket(seed) for _, seed in seeds.iterrows()),
                "ℓ*": known["length"].iloc[0] if len(known) else float("nan"),
                "bits per parameter": known["bits"].iloc[0] if len(known) else float("nan"),
            }
        )
    return pd.DataFrame(rows, columns=["r", "seeds", "cells", "ℓ* between", "ℓ*", "bits per parameter"])


def _bracket(seed: pd.Series) -> str:
    """A bracket in words; a star marks one whose outcomes are not in order."""
    if seed["low"] == 0:
        return f"below {seed['high']:g}"
    if math.isinf(seed["high"]):
        return f"above {seed['low']:g}"
    return f"{seed['low']:g} and {seed['high']:g}{'' if seed['orderly'] else '*'}"


def _figure(rows: pd.DataFrame, found: pd.DataFrame, line: Line | None) -> Figure:
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
        bars = found[(found["seed"] == seed) & _closed(found)]
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
    axes.set_xlabel("LoRA rank r")
    axes.set_ylabel("length ℓ (tokens)")
    axes.grid(alpha=0.25)
    return figure


HORIZON = Experiment(
    "horizon", "How long a text does a rank recall to the last token?", "horizon", ("horizon",), analyze
)
