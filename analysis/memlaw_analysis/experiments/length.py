"""Is the stored information constant in the length? ℓ·ΔL in nats over ℓ, at few ranks and several numbers of steps."""

import math

import numpy as np
import pandas as pd

from memlaw_analysis.experiments.curves import BELOW, LAW_SLOPE, Curve, curves, stored
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.length_figure import length_figure
from memlaw_analysis.experiments.markdown import UNKNOWN
from memlaw_analysis.experiments.published import KEPT_BETA
from memlaw_analysis.law.saturation import DEFAULT

WINDOW = f"ΔL < {BELOW.at:g}·L0"

GAIN = 0.05
"""Share of stored nats up to which a gain by more steps counts as none."""


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
        figure=length_figure(cells, found),
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
    """Whether a curve levels off."""
    where = f"r = {curve.rank}, {curve.steps} steps"
    longest = curve.longest
    amount = f"{longest['nats']:.0f} nats at ℓ = {longest['target_tokens']:g}, {_per_parameter(longest)}"
    if curve.slope is None:
        too_few = f"too few lengths with {WINDOW} for a slope ({len(curve.tail)})"
        return Claim(Stance.OPEN, f"{where}: {too_few}; so far {amount}.")
    first = curve.tail["target_tokens"].iloc[0]
    span = f"from ℓ = {first:g} to {longest['target_tokens']:g} it goes like ℓ^s with s = {curve.slope}"
    law = f"{LAW_SLOPE:.2f} (the law with β = {KEPT_BETA.value:.2f})"
    agrees = curve.verdict == "grows" and curve.slope.includes(LAW_SLOPE)
    heads = {
        "levels off": "**{}: the stored information levels off**",
        "falls": "**{}: a longer text stores less in total**",
        "grows": "**{}: the stored information still grows with the length**",
        "open": "{}: whether the stored information levels off is open",
    }
    against = {
        "levels off": f"which excludes {law}",
        "falls": f"which excludes {law}",
        "grows": f"which includes {law}" if agrees else f"which excludes {law}",
        "open": f"which allows both 0 (a constant) and {law}",
    }
    stance = Stance.OPEN if curve.verdict == "open" else Stance.FOR if agrees else Stance.AGAINST
    head = heads[curve.verdict].format(where)
    return Claim(stance, f"{head}: {span}, {against[curve.verdict]}. It is {amount}.")


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
                "lengths": ", ".join(f"{length:g}" for length in curve.tail["target_tokens"]) or UNKNOWN,
                "d ln(nats)/d ln ℓ": curve.slope or UNKNOWN,
                "verdict": curve.verdict,
                "largest (nats)": curve.cells["nats"].max(),
            }
            for curve in found
        ],
        columns=["r", "steps", "lengths", "d ln(nats)/d ln ℓ", "verdict", "largest (nats)"],
    )


LENGTH = Experiment("length", "Is the stored information constant in the length?", "law", ("length",), analyze)
