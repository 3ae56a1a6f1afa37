"""Is the stored information constant in the length? ℓ·ΔL in nats over ℓ, at few ranks and several numbers of steps."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from memlaw_analysis.experiments.estimate import Estimate, slope_of
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.published import KEPT_BETA, VECTOR_NATS
from memlaw_analysis.experiments.rows import EFFECTIVE, over_seeds
from memlaw_analysis.figures.style import GREY, MARKERS, ORANGE, new_figure, ordered_colours, plain_ticks
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.saturation import DEFAULT

TAIL = 4
"""The slope is that over the longest lengths, so many."""

LAW_SLOPE = 1 - KEPT_BETA.value
"""Slope of ln(ℓ·ΔL) on ln ℓ under ΔL ∝ ℓ^(−β)."""

CONVERGED = 1.05
"""Ratio of stored nats under which more steps count as bringing nothing."""


@dataclass(frozen=True)
class Curve:
    """The stored information of one rank and one number of steps over the length.

    Attributes:
        rank, steps: of its cells.
        cells: its unsaturated cells, seeds averaged, ascending in length; at least one.
        slope: d ln(ℓ·ΔL) / d ln ℓ over the longest `TAIL` lengths; None where they are too few.
    """

    rank: int
    steps: int
    cells: pd.DataFrame
    slope: Estimate | None

    @property
    def longest(self) -> pd.Series:
        """The cell of the longest text."""
        return self.cells.iloc[-1]

    @property
    def verdict(self) -> str:
        """`levels off`, `grows`, `falls`, or `open`.

        It levels off where the slope's interval includes 0 and excludes the law's slope. It is open where the interval
        includes both, or there is none.
        """
        if self.slope is None or (self.slope.includes(0) and self.slope.high >= LAW_SLOPE):
            return "open"
        if self.slope.includes(0):
            return "levels off"
        return "grows" if self.slope.low > 0 else "falls"


def stored(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the stored information of each rank, number of steps and length, seeds averaged.

    Columns: those of `over_seeds`, and `nats`, `nats_per_parameter`, `nats_per_effective` (NaN: not measured).
    """
    cells = over_seeds(rows, ["lora.rank", "steps", "target_tokens"])
    nats = cells["target_tokens"] * cells["delta_loss_nats"]
    return cells.assign(
        nats=nats, nats_per_parameter=nats / cells["trainable_parameters"], nats_per_effective=nats / cells[EFFECTIVE]
    )


def curves(cells: pd.DataFrame) -> list[Curve]:
    """Split cells of `stored` into curves, without saturated cells: those store all that there is."""
    found = []
    for (rank, steps), rows in cells[~DEFAULT.excludes(cells)].groupby(["lora.rank", "steps"]):
        ascending = rows.sort_values("target_tokens", ignore_index=True)
        tail = ascending.tail(TAIL)
        try:
            slope = slope_of(np.log(tail["target_tokens"]), np.log(tail["nats"]))
        except TooFewCells:
            slope = None
        found.append(Curve(int(rank), int(steps), ascending, slope))
    return found


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `length`."""
    cells = stored(rows)
    found = curves(cells)
    ranks = sorted({curve.rank for curve in found})
    claims = [_level_claim(_most_trained(found, rank)) for rank in ranks]
    claims += [claim for rank in ranks for claim in _steps_claims(cells[cells["lora.rank"] == rank])]
    if not found:
        claims.append(Claim(Stance.OPEN, "Every cell run so far is saturated: longer texts are needed."))
    return Outcome(
        claims=ordered(claims),
        numbers={
            "law_slope": LAW_SLOPE,
            "longest": {f"r = {rank}": _longest(_most_trained(found, rank)) for rank in ranks},
        },
        tables={"cells": _cells_table(cells), "slopes": _slopes_table(found)},
        figure=_figure(cells, found),
    )


def _longest(curve: Curve) -> dict[str, object]:
    """The longest text of a curve, and the curve's verdict."""
    cell = curve.longest
    return {
        "rank": curve.rank,
        "steps": curve.steps,
        "length": int(cell["target_tokens"]),
        "nats": float(cell["nats"]),
        "parameters": int(cell["trainable_parameters"]),
        "verdict": curve.verdict,
    }


def _most_trained(found: list[Curve], rank: int) -> Curve:
    """The curve of a rank with the most steps; those without a slope only where there is no other."""
    return max(
        (curve for curve in found if curve.rank == rank), key=lambda curve: (curve.slope is not None, curve.steps)
    )


def _level_claim(curve: Curve) -> Claim:
    where = f"r = {curve.rank}, {curve.steps} steps"
    tail, longest = curve.cells.tail(TAIL), curve.longest
    amount = f"{longest['nats']:.0f} nats at ℓ = {longest['target_tokens']:g}, {_per_parameter(longest)}"
    if curve.slope is None:
        return Claim(Stance.OPEN, f"{where}: {len(curve.cells)} unsaturated lengths, too few for a slope; {amount}.")
    slope = f"from ℓ = {tail['target_tokens'].iloc[0]:g} to {longest['target_tokens']:g} it goes like ℓ^s with s = {curve.slope}"
    law = f"the law with β = {KEPT_BETA.value:.2f} says {LAW_SLOPE:.2f}"
    if curve.verdict == "levels off":
        return Claim(
            Stance.AGAINST, f"**{where}: the stored information levels off**: {slope}; {law}. It stays at {amount}."
        )
    if curve.verdict == "falls":
        return Claim(
            Stance.AGAINST, f"**{where}: a longer text stores less in total**: {slope}; {law}. It is {amount}."
        )
    if curve.verdict == "open":
        return Claim(
            Stance.OPEN,
            f"{where}: open. {_capital(slope)}, which allows both a constant and the law ({law}). It is {amount}.",
        )
    agrees = curve.slope.includes(LAW_SLOPE)
    stance = Stance.FOR if agrees else Stance.AGAINST
    relation = "as" if agrees else "while"
    return Claim(
        stance,
        f"**{where}: the stored information still grows with the length**: {slope}, {relation} {law}. It is {amount}, and no bound of the adapter.",
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _per_parameter(cell: pd.Series) -> str:
    """Nats and bits per parameter, plain and effective."""
    parts = [
        f"{cell['nats_per_parameter']:.2f} nats ({cell['nats_per_parameter'] / math.log(2):.2f} bits) per parameter"
    ]
    if np.isfinite(cell["nats_per_effective"]):
        bits = cell["nats_per_effective"] / math.log(2)
        parts.append(f"{cell['nats_per_effective']:.2f} nats ({bits:.2f} bits) per effective parameter")
    return " and ".join(parts)


def _steps_claims(cells: pd.DataFrame) -> list[Claim]:
    """Whether the last increase of the steps still stored more, at the longest unsaturated text that has both."""
    usable = cells[~DEFAULT.excludes(cells)]
    for length in sorted(usable["target_tokens"].unique(), reverse=True):
        trained = usable[usable["target_tokens"] == length].sort_values("steps")
        if len(trained) > 1:
            few, many = trained.iloc[-2], trained.iloc[-1]
            gain = many["nats"] / few["nats"]
            text = (
                f"r = {many['lora.rank']:g}, ℓ = {length:g}: {many['steps']:g} in place of {few['steps']:g} steps store "
                f"{gain - 1:+.0%}"
            )
            if gain > CONVERGED:
                return [
                    Claim(Stance.AGAINST, f"{text}, so what fewer steps show is what training reached, not what fits.")
                ]
            return [Claim(Stance.FOR, f"{text}: training has converged there.")]
    return []


def _cells_table(cells: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "r": cells["lora.rank"],
            "steps": cells["steps"],
            "ℓ": cells["target_tokens"],
            "seeds": cells["seeds"],
            "ΔL (nats)": cells["delta_loss_nats"],
            "ΔL/L0": cells["delta_loss_nats"] / cells["base_loss_nats"],
            "stored (nats)": cells["nats"],
            "nats per parameter": cells["nats_per_parameter"],
            "nats per effective parameter": cells["nats_per_effective"],
        }
    )


def _slopes_table(found: list[Curve]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "r": curve.rank,
                "steps": curve.steps,
                "lengths": f"{curve.cells.tail(TAIL)['target_tokens'].iloc[0]:g} to {curve.longest['target_tokens']:g}",
                "d ln(nats)/d ln ℓ": curve.slope,
                "verdict": curve.verdict,
                "largest (nats)": curve.cells["nats"].max(),
            }
            for curve in found
        ],
        columns=["r", "steps", "lengths", "d ln(nats)/d ln ℓ", "verdict", "largest (nats)"],
    )


def _figure(cells: pd.DataFrame, found: list[Curve]) -> Figure:
    """Draw stored nats against the length, and the local slope between neighbouring lengths."""
    caption = f"n = {len(cells)} cells, seeds averaged; hollow: saturated, {DEFAULT}; dashed: all of the text, ℓ·L0"
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
    for curve in found:
        x, y = np.log(curve.cells["target_tokens"].to_numpy(float)), np.log(curve.cells["nats"].to_numpy(float))
        look = {"color": colours[curve.steps], "marker": markers[curve.rank], "markersize": 5}
        right.plot(np.exp((x[1:] + x[:-1]) / 2), np.diff(y) / np.diff(x), linewidth=0.9, **look)
    offered = cells.groupby("target_tokens")["base_loss_nats"].mean()
    left.plot(offered.index, offered.index * offered, "--", color=GREY, linewidth=0.8)
    left.axhline(VECTOR_NATS.value, color=ORANGE, linewidth=0.9, linestyle=":")
    left.text(
        offered.index[-1],
        VECTOR_NATS.value,
        "one input vector, Pythia-160M",
        color="#8a5f00",
        fontsize=7,
        ha="right",
        va="bottom",
    )
    for level, name in ((0, "constant"), (LAW_SLOPE, f"law, β = {KEPT_BETA.value:.2f}"), (1, "all is stored")):
        right.axhline(level, color=GREY, linewidth=0.8, linestyle=":")
        right.text(
            1.0,
            level,
            f"{name} ",
            color="#555555",
            fontsize=7,
            ha="right",
            va="bottom",
            transform=right.get_yaxis_transform(),
        )
    lengths = [float(length) for length in sorted(cells["target_tokens"].unique())]
    plain_ticks(left, lengths)
    plain_ticks(right, lengths)
    right.set_xlim(left.get_xlim())
    left.set_yscale("log")
    left.set_ylabel("stored: ℓ·ΔL (nats)")
    right.set_ylabel("local slope d ln(ℓ·ΔL) / d ln ℓ")
    for axes in (left, right):
        axes.set_xlabel("length ℓ (tokens)")
        axes.grid(alpha=0.25)
    left.legend(fontsize=7)
    return figure


LENGTH = Experiment("length", "Is the stored information constant in the length?", "law", ("length",), analyze)
