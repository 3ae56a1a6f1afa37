"""Where to adapt: which maps of a layer, which layer, and one layer with a high rank or many with a low one.

The parts of the study are told apart by the cells' columns, so a cell can serve several.
"""

from typing import Any

import pandas as pd

from memlaw_analysis.experiments.estimate import Estimate, ratios_among
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.placement_figure import BITS, placement_figure
from memlaw_analysis.experiments.rows import EFFECTIVE, ORIGINS, counted, listed
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.saturation import DEFAULT

ATTENTION, UP_GATE, DOWN, ALL = "attention", "up and gate", "down", "all linear"

KINDS = {
    frozenset({"q_proj", "k_proj", "v_proj", "o_proj"}): ATTENTION,
    frozenset({"gate_proj", "up_proj"}): UP_GATE,
    frozenset({"down_proj"}): DOWN,
    frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}): ALL,
}
"""Names of adapted modules → what they are called here."""

EQUAL = 0.25
"""Sizes of adapters count as equal within this share of their median: whole ranks come no nearer."""

_TASK = ["target_tokens", "steps", "seed"]


def placed(rows: pd.DataFrame) -> pd.DataFrame:
    """Add where each cell's adapter is: `kind` (of modules), `layers` (a tuple of indices), `count` (of layers)."""
    layers = [tuple(listed(value)) for value in rows["adapted_layers"]]
    kinds = []
    for value in rows["adapted_modules"]:
        names = frozenset(str(name).rsplit(".", 1)[-1] for name in listed(value))
        kinds.append(KINDS.get(names, ", ".join(sorted(names))))
    return rows.assign(kind=kinds, layers=layers, count=[len(each) for each in layers])


def by_modules(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that compare kinds of modules: one layer, equal sizes, several kinds."""
    return _compared(
        _equal_sizes(cells[cells["count"] == 1], ["layers", "target_tokens", "steps"]), ["layers", *_TASK], "kind"
    )


def by_depth(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that compare layers: one layer, the same modules and rank."""
    return _compared(cells[cells["count"] == 1], ["kind", "lora.rank", *_TASK], "layers")


def by_spread(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that compare one layer with several at the same rank · layers, with the same modules."""
    whole = cells.assign(total=cells["lora.rank"] * cells["count"])
    return _compared(whole, ["kind", "total", *_TASK], "count")


def _equal_sizes(cells: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    size = cells["trainable_parameters"]
    middle = cells.groupby(by)["trainable_parameters"].transform("median")
    return cells[(size / middle - 1).abs() <= EQUAL]


def _compared(cells: pd.DataFrame, by: list[str], differing: str) -> pd.DataFrame:
    """The groups in which something differs."""
    return cells[cells.groupby(by)[differing].transform("nunique") > 1] if len(cells) else cells


def contrasts(cells: pd.DataFrame, column: str) -> dict[tuple[Any, Any], Estimate]:
    """Return the ratio of bits per parameter at any two values of a column.

    Of several lengths the longest counts, which is the farthest from saturation. Cells that stored nothing, for which
    this learning rate was too high, have no ratio.

    Raises:
        TooFewCells: fewer than two values, or one with a single cell.
    """
    longest = cells[cells["target_tokens"] == cells["target_tokens"].max()]
    stored = longest[longest[BITS] > 0]
    return ratios_among({value: group[BITS].to_numpy(float) for value, group in stored.groupby(column)})


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `placement`."""
    stored, origin = counted(rows)
    cells = placed(stored[~DEFAULT.excludes(stored)])  # a text recalled whole says how long it is, not what fits
    modules, depth, spread = by_modules(cells), by_depth(cells), by_spread(cells)
    ratios = {"mlp_over_attention": _mlp_over_attention(modules), "one_over_many": _one_over_many(spread)}
    claims = [
        _mlp_claim(ratios["mlp_over_attention"]),
        _depth_claim(depth),
        _spread_claim(ratios["one_over_many"], spread),
    ]
    return Outcome(
        claims=ordered(claims),
        numbers={
            **{name: value if isinstance(value, Estimate) else None for name, value in ratios.items()},
            "counted": ORIGINS[origin],
            "diverged": _names(modules[modules[BITS] <= 0], "kind"),
            "layers_of_modules": sorted({layer for layers in modules["layers"] for layer in layers}),
        },
        tables={
            "modules": _summary(modules, "kind", "modules"),
            "depth": _summary(depth, "layers", "layer"),
            "spread": _summary(spread, "count", "layers adapted"),
        },
        figure=placement_figure(modules, depth, spread),
    )


def _names(cells: pd.DataFrame, column: str) -> list[str]:
    return sorted(map(str, cells[column].unique()))


def _mlp_over_attention(modules: pd.DataFrame) -> Estimate | str:
    """Ratio of the best kind of an MLP to attention; why there is none as a text."""
    try:
        ratios = contrasts(modules, "kind")
    except TooFewCells as error:
        return str(error)
    measured = [ratios[kind, ATTENTION] for kind in (UP_GATE, DOWN) if (kind, ATTENTION) in ratios]
    return max(measured) if measured else "no cells compare the two"


def _mlp_claim(ratio: Estimate | str) -> Claim:
    if isinstance(ratio, str):
        return Claim(Stance.OPEN, f"MLP against attention is open: {ratio}.")
    text = f"at equal size the better map of the MLP holds {ratio} times the bits per parameter of attention"
    regret = '"LoRA Without Regret"'
    if ratio.low > 1:
        return Claim(Stance.FOR, f"**The MLP holds more than attention**, as {regret} finds: {text}.")
    if ratio.high < 1:
        return Claim(Stance.AGAINST, f"**Attention holds more than the MLP**, against {regret}: {text}.")
    return Claim(Stance.OPEN, f"MLP and attention do not differ beyond the noise ({regret}: the MLP is ahead): {text}.")


def _depth_claim(depth: pd.DataFrame) -> Claim:
    means = depth.groupby("layers")["delta_loss_nats"].mean().sort_values()
    if len(means) < 2:
        return Claim(Stance.OPEN, "The best depth is open: no cells of two layers are otherwise the same.")
    worst, best = means.index[0], means.index[-1]
    tried = ", ".join(str(layers[0]) for layers in sorted(means.index))
    text = f"of layers {tried}, layer {best[0]} holds the most and layer {worst[0]} the least"
    try:
        ratio = contrasts(depth, "layers")[best, worst]
    except TooFewCells as error:
        return Claim(Stance.OPEN, f"The best depth is open, {error}; so far {text}.")
    if ratio.low > 1:
        return Claim(Stance.AGAINST, f"**The layer matters beside rank and length**: {text}, {ratio} to 1.")
    stance = Stance.FOR if ratio.is_close_to(1) else Stance.OPEN
    return Claim(stance, f"The layer makes no difference beyond the noise: {text}, {ratio} to 1.")


def _one_over_many(spread: pd.DataFrame) -> Estimate | str:
    try:
        return contrasts(spread, "count")[spread["count"].min(), spread["count"].max()]
    except TooFewCells as error:
        return str(error)


def _spread_claim(ratio: Estimate | str, spread: pd.DataFrame) -> Claim:
    if isinstance(ratio, str):
        return Claim(Stance.OPEN, f"One layer against many is open: {ratio}.")
    few, many, total = spread["count"].min(), spread["count"].max(), spread["total"].max()
    text = f"rank {total / few:g} in {few:g} layer{'s' if few > 1 else ''} holds {ratio} times the bits of rank "
    text += f"{total / many:g} in {many:g} layers"
    peak = "a capacity per parameter that is largest at low rank (arXiv 2603.01097)"
    if ratio.high < 1:
        return Claim(Stance.AGAINST, f"**Many layers with a low rank hold more than one with a high rank**: {text}. "
                     f"The law in r of one layer does not say so; it agrees with {peak}.")  # fmt: skip
    if ratio.low > 1:
        return Claim(Stance.AGAINST, f"**One layer with a high rank holds more than many with a low rank**: {text}. "
                     f"That contradicts {peak}.")  # fmt: skip
    if ratio.is_close_to(1):
        return Claim(Stance.FOR, f"Equal parameters hold the same in one layer or many: {text}.")
    return Claim(Stance.OPEN, f"One layer against many is open: {text}.")


def _summary(cells: pd.DataFrame, column: str, name: str) -> pd.DataFrame:
    """A row per placement, length and size: means over seeds."""
    rows = []
    keys = [column, "lora.rank", "target_tokens", "trainable_parameters"]
    for (place, rank, length, parameters), group in cells.groupby(keys):
        rows.append(
            {
                name: ", ".join(map(str, place)) if isinstance(place, tuple) else place,
                "r": rank,
                "ℓ": length,
                "parameters": parameters,
                "effective parameters": group[EFFECTIVE].mean(),
                "cells": len(group),
                "stored (nats per token)": group["delta_loss_nats"].mean(),
                "bits per parameter": group[BITS].mean(),
            }
        )
    return pd.DataFrame(rows)


PLACEMENT = Experiment(
    "placement",
    "Where does an adapter hold the most?",
    "placement",
    ("placement", "placement_depth", "placement_spread"),
    analyze,
)
