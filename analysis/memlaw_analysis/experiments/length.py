"""Is the stored information constant in the length? Nats over ℓ, at few ranks and several numbers of steps."""

import math

import numpy as np
import pandas as pd

from memlaw_analysis.experiments.curves import BELOW, FLAT, Curve, curves, stored
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.length_figure import length_figure
from memlaw_analysis.experiments.markdown import UNKNOWN
from memlaw_analysis.experiments.rows import ORIGINS
from memlaw_analysis.law.saturation import DEFAULT

RANKS = (1, 2)
"""The ranks that are asked about: for higher ones the texts that are trained are too short."""

WINDOW = f"at most {BELOW.at:.0%} of the text stored"

GAIN = 0.05
"""Share of stored nats up to which a gain by more steps counts as none."""


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `length`."""
    rows = rows[rows["lora.rank"].isin(RANKS)]
    lines = [curve for origin in ORIGINS for curve in curves(rows, origin)]
    most = [
        _most_trained([curve for curve in lines if (curve.origin, curve.rank) == pair])
        for pair in dict.fromkeys((curve.origin, curve.rank) for curve in lines)
    ]
    claims = [_level_claim(curve) for curve in most]
    cells = {origin: stored(rows, origin) for origin in ORIGINS}
    known = "source" if cells["source"]["nats"].notna().any() else "base"
    claims += [claim for _, of_rank in cells[known].groupby("lora.rank") for claim in _steps_claims(of_rank)]
    if not lines:
        claims.append(Claim(Stance.OPEN, "No unsaturated cell of these ranks has been run: longer texts are needed."))
    return Outcome(
        claims=ordered(claims),
        numbers={
            "flat": FLAT,
            "longest": {f"r = {curve.rank}, {curve.origin}": _longest(curve) for curve in most},
        },
        tables={"slopes": _slopes_table(lines), "cells": _cells_table(cells)},
        figure=length_figure(cells[known], [curve for curve in lines if curve.origin == known], ORIGINS[known])
        if len(cells[known])
        else None,
    )


def _longest(curve: Curve) -> dict[str, object]:
    """The longest text of a curve, and the curve's verdict."""
    cell = curve.longest
    return {
        "origin": curve.origin,
        "rank": curve.rank,
        "steps": curve.steps,
        "length": int(cell["target_tokens"]),
        "nats": float(cell["nats"]),
        "parameters": int(cell["trainable_parameters"]),
        "verdict": curve.verdict,
    }


def _most_trained(lines: list[Curve]) -> Curve:
    """The curve with the most steps; one without a slope only where there is no other."""
    return max(lines, key=lambda curve: (curve.slope is not None, curve.steps))


def _level_claim(curve: Curve) -> Claim:
    """Whether a curve levels off. The law, ΔL ∝ ℓ^(−β) with β < 1, says that it grows."""
    where = f"r = {curve.rank}, {curve.steps} steps, {ORIGINS[curve.origin]}"
    longest = curve.longest
    amount = f"{longest['nats']:.0f} nats at ℓ = {longest['target_tokens']:g}, {_per_parameter(longest)}"
    if curve.slope is None:
        too_few = f"too few lengths with {WINDOW}, for a slope ({len(curve.tail)})"
        return Claim(Stance.OPEN, f"{where}: {too_few}; so far {amount}.")
    first = curve.tail["target_tokens"].iloc[0]
    span = f"from ℓ = {first:g} to {longest['target_tokens']:g} it goes like ℓ^s with s = {curve.slope}"
    heads = {
        "levels off": "**{}: the stored information levels off**",
        "falls": "**{}: a longer text stores less in total**",
        "grows": "**{}: the stored information still grows with the length**",
        "open": "{}: whether the stored information levels off is open",
    }
    stance = {"open": Stance.OPEN, "grows": Stance.FOR}.get(curve.verdict, Stance.AGAINST)
    return Claim(stance, f"{heads[curve.verdict].format(where)}: {span}. It is {amount}.")


def _per_parameter(cell: pd.Series) -> str:
    """Nats and bits per parameter, plain and effective."""
    counts = {"nats_per_parameter": "parameter", "nats_per_effective": "effective parameter"}
    return " and ".join(
        f"{cell[name]:.2f} nats ({cell[name] / math.log(2):.2f} bits) per {count}"
        for name, count in counts.items()
        if np.isfinite(cell[name])
    )


def _steps_claims(cells: pd.DataFrame) -> list[Claim]:
    """Whether the last increase of the steps still stored more, at the longest unsaturated text that has both."""
    usable = cells[~DEFAULT.excludes(cells)]
    for length in sorted(usable["target_tokens"].unique(), reverse=True):
        trained = usable[usable["target_tokens"] == length].sort_values("steps")
        if len(trained) > 1:
            few, many = trained.iloc[-2], trained.iloc[-1]
            gain = float(many["nats"] / few["nats"]) - 1
            amount = f"{abs(gain):.0%} {'more' if gain >= 0 else 'less'} than {few['steps']:g}"
            text = f"r = {many['lora.rank']:g}, ℓ = {length:g}: {many['steps']:g} steps store {amount}"
            if gain > GAIN:
                return [Claim(Stance.AGAINST, f"{text}, so fewer steps show what training reached, not what fits.")]
            return [Claim(Stance.FOR, f"{text}: training has converged there.")]
    return []


def _cells_table(cells: dict[str, pd.DataFrame]) -> pd.DataFrame:
    base, source = cells["base"], cells["source"]
    return pd.DataFrame(
        {
            "r": base["lora.rank"],
            "steps": base["steps"],
            "ℓ": base["target_tokens"],
            "seeds": base["seeds"],
            "ΔL (nats)": base["delta_loss_nats"],
            "ΔL/L0": base["delta_loss_nats"] / base["base_loss_nats"],
            "ℓ·ΔL (nats)": base["nats"],
            "ℓ·(H − L) (nats)": source["nats"],
            "the same per parameter": source["nats_per_parameter"],
            "per effective parameter": source["nats_per_effective"],
        }
    )


def _slopes_table(lines: list[Curve]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "counted": ORIGINS[curve.origin],
                "r": curve.rank,
                "steps": curve.steps,
                "lengths": ", ".join(f"{length:g}" for length in curve.tail["target_tokens"]) or UNKNOWN,
                "d ln(nats)/d ln ℓ": curve.slope or UNKNOWN,
                "verdict": curve.verdict,
                "largest (nats)": curve.cells["nats"].max(),
            }
            for curve in lines
        ],
        columns=["counted", "r", "steps", "lengths", "d ln(nats)/d ln ℓ", "verdict", "largest (nats)"],
    )


LENGTH = Experiment(
    "length",
    "Is the stored information constant in the length?",
    "law",
    ("length", "convergence", "convergence_long"),
    analyze,
)
