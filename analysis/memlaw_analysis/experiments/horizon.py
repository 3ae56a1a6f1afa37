"""The horizon ℓ*(r): the longest random text that a rank recalls to the last token, and how it grows with the rank."""

import math

import numpy as np
import pandas as pd

from memlaw_analysis.experiments.brackets import brackets, closed
from memlaw_analysis.experiments.censored import Line, fit_line
from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.horizon_figure import horizon_figure
from memlaw_analysis.experiments.published import KEPT_KAPPA, PAPER_KAPPA
from memlaw_analysis.experiments.rows import ORIGINS, counted
from memlaw_analysis.law.enough import TooFewCells


def horizons(ends: pd.DataFrame) -> pd.DataFrame:
    """Return ℓ* of each rank: a row per rank with a bracket of two ends.

    Columns: lora.rank, length (geometric mean of the brackets' middles), low, high (ends over all seeds), bits: bits
    per parameter of a text of that length.
    """
    table = []
    for rank, seeds in ends[closed(ends)].groupby("lora.rank"):
        length = float(np.exp(np.log(np.sqrt(seeds["low"] * seeds["high"])).mean()))
        bits = length * seeds["bits_per_token"].mean() / seeds["trainable_parameters"].iloc[0]
        table.append(
            {"lora.rank": rank, "length": length, "low": seeds["low"].min(), "high": seeds["high"].max(), "bits": bits}
        )
    return pd.DataFrame(table, columns=["lora.rank", "length", "low", "high", "bits"])


def horizon_line(ends: pd.DataFrame) -> Line:
    """Fit ln ℓ* = at_zero + slope · ln r to brackets.

    Raises:
        TooFewCells: fewer than three ranks with a bracket of two ends.
    """
    with np.errstate(divide="ignore"):
        low, high = np.log(ends["low"].to_numpy(float)), np.log(ends["high"].to_numpy(float))
    return fit_line(np.log(ends["lora.rank"].to_numpy(float)), low, high)


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `horizon`."""
    cells, origin = counted(rows)
    ends = brackets(cells)
    table = horizons(ends)
    line: Line | None = None
    try:
        line = horizon_line(ends)
        ranks = f"r = {table['lora.rank'].min():g} to {table['lora.rank'].max():g}"
        claims = [slope_claim(line.slope, ranks)]
    except TooFewCells as error:
        claims = [Claim(Stance.OPEN, f"How the horizon grows with the rank is open: {error}.")]
    claims += _capacity_claims(table)
    return Outcome(
        claims=ordered(claims),
        numbers={
            "slope": line.slope if line else None,
            "decided": line is not None and decides(line.slope),
            "at_rank_1": math.exp(line.at_zero) if line else None,
            "spread": line.spread if line else None,
            "brackets": int(closed(ends).sum()),
            "counted": ORIGINS[origin],
            "disorderly": int((~ends["orderly"]).sum()),
        },
        tables={"horizons": _table(ends, table)},
        figure=horizon_figure(cells, ends, line),
    )


def decides(slope: Estimate) -> bool:
    """Return whether a slope is bounded and tells 1 from α/β of the law, so that it can agree or disagree."""
    ratios = (KEPT_KAPPA.value, PAPER_KAPPA.value)
    return math.isfinite(slope.high) and not (slope.includes(1) and any(map(slope.includes, ratios)))


def slope_claim(slope: Estimate, ranks: str) -> Claim:
    """Hold the slope of ln ℓ* on ln r, over these ranks, against α/β of our study and of the paper's points.

    A slope that may also be 1, in proportion to the rank, or has no bound, agrees with everything and decides nothing.
    """
    text = f"over {ranks} the longest recalled text grows like r^κ with κ = {slope}"
    ours, paper = slope.includes(KEPT_KAPPA.value), slope.includes(PAPER_KAPPA.value)
    kept_name, paper_name = (
        f"{KEPT_KAPPA.value:.2f} (α/β of our study)",
        f"{PAPER_KAPPA.value:.2f} (of the paper's points)",
    )
    if not decides(slope):
        return Claim(Stance.OPEN, f"How the horizon grows with the rank is open: {text}.")
    if ours and paper:
        return Claim(
            Stance.FOR,
            f"**The horizon follows α/β of the law**: {text}, which includes both {kept_name} and {paper_name}.",
        )
    if ours or paper:
        held, missed = (kept_name, paper_name) if ours else (paper_name, kept_name)
        stance = Stance.FOR if ours else Stance.AGAINST
        relation = f"which includes {held} and excludes {missed}"
        return Claim(stance, f"**The horizon allows one of two α/β**: {text}, {relation}.")
    side = "more slowly" if slope.high < min(KEPT_KAPPA.value, PAPER_KAPPA.value) else "otherwise"
    head = f"**The horizon grows {side} than α/β of the law says**"
    return Claim(Stance.AGAINST, f"{head}: {text}, which excludes both {kept_name} and {paper_name}.")


def _capacity_claims(table: pd.DataFrame) -> list[Claim]:
    """Bits per parameter of the longest recalled text, at the smallest and the largest rank."""
    if len(table) < 2:
        return []
    small, large = table.iloc[0], table.iloc[-1]
    first, last = (
        f"{each['bits']:.2f} bits at r = {each['lora.rank']:g} (ℓ* ≈ {each['length']:.0f})" for each in (small, large)
    )
    return [Claim(Stance.OPEN, f"In a text recalled to its last token a parameter holds {first}, and {last}.")]


def _table(ends: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for rank, seeds in ends.groupby("lora.rank"):
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


HORIZON = Experiment(
    "horizon", "How long a text does a rank recall to the last token?", "horizon", ("horizon",), analyze
)
