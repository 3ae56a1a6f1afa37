"""Where to adapt: which maps of a layer, which layer, and one layer with a high rank or many with a low one.

The parts of the study are told apart by the cells' columns, so a cell can serve several.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memlaw_analysis.experiments.estimate import Estimate, ratio_of
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.rows import EFFECTIVE, listed
from memlaw_analysis.figures.style import BLUE, CYCLE, new_figure
from memlaw_analysis.law.enough import TooFewCells

ATTENTION, UP_GATE, DOWN, ALL = "attention", "up and gate", "down", "all linear"

KINDS = {
    frozenset({"q_proj", "k_proj", "v_proj", "o_proj"}): ATTENTION,
    frozenset({"gate_proj", "up_proj"}): UP_GATE,
    frozenset({"down_proj"}): DOWN,
    frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}): ALL,
}
"""Names of adapted modules → what they are called here."""

EQUAL = 0.1
"""Sizes of adapters count as equal within this share of their median."""

BITS = "bits_per_parameter"
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


def contrast(cells: pd.DataFrame, column: str, above: object, below: object, by: list[str]) -> Estimate:
    """Return the ratio of bits per parameter at two values of a column, over cells that agree in `by`.

    Raises:
        TooFewCells: fewer than two pairs.
    """
    wide = cells.pivot_table(index=by, columns=column, values=BITS)
    if not {above, below} <= set(wide.columns):
        raise TooFewCells(f"no cell of {above if above not in wide.columns else below}")
    pairs = wide[[above, below]].dropna()
    return ratio_of(pairs[above], pairs[below])


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `placement`."""
    cells = placed(rows)
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
            "layers_of_modules": sorted({layer for layers in modules["layers"] for layer in layers}),
        },
        tables={
            "modules": _summary(modules, ["kind"], {"kind": "modules"}),
            "depth": _summary(depth, ["layers"], {"layers": "layer"}),
            "spread": _summary(spread, ["count"], {"count": "layers adapted"}),
        },
        figure=_figure(modules, depth, spread),
    )


def _mlp_over_attention(modules: pd.DataFrame) -> Estimate | str:
    """Ratio of the best kind of an MLP to attention; why there is none as a text."""
    found = []
    reason = "no cell compares modules"
    for kind in (UP_GATE, DOWN):
        try:
            found.append(contrast(modules, "kind", kind, ATTENTION, ["layers", *_TASK]))
        except TooFewCells as error:
            reason = str(error)
    return max(found) if found else reason


def _mlp_claim(ratio: Estimate | str) -> Claim:
    if isinstance(ratio, str):
        return Claim(Stance.OPEN, f"MLP against attention is open: {ratio}.")
    text = f"at equal size the better map of the MLP holds {ratio} times the bits per parameter of attention"
    if ratio.low > 1:
        return Claim(Stance.FOR, f'**The MLP holds more than attention**, as "LoRA Without Regret" finds: {text}.')
    if ratio.high < 1:
        return Claim(Stance.AGAINST, f'**Attention holds more than the MLP**, against "LoRA Without Regret": {text}.')
    return Claim(
        Stance.OPEN,
        f'MLP and attention do not differ beyond the noise ("LoRA Without Regret" finds the MLP ahead): {text}.',
    )


def _depth_claim(depth: pd.DataFrame) -> Claim:
    means = depth.groupby("layers")["delta_loss_nats"].mean().sort_values()
    if len(means) < 2:
        return Claim(Stance.OPEN, "The best depth is open: no cells of two layers are otherwise the same.")
    worst, best = means.index[0], means.index[-1]
    try:
        ratio = contrast(depth, "layers", best, worst, ["kind", "lora.rank", *_TASK])
    except TooFewCells as error:
        return Claim(
            Stance.OPEN,
            f"The best depth is open ({error}): layer {best[0]} holds {means.iloc[-1]:.2f} nats, layer {worst[0]} {means.iloc[0]:.2f}.",
        )
    text = f"of layers {', '.join(str(layers[0]) for layers in sorted(means.index))}, layer {best[0]} holds the most and layer {worst[0]} the least, at a ratio of {ratio}"
    if ratio.low > 1:
        return Claim(Stance.AGAINST, f"**A law in rank and length alone lacks the layer**: {text}.")
    return Claim(Stance.FOR, f"The layer makes no difference beyond the noise: {text}.")


def _one_over_many(spread: pd.DataFrame) -> Estimate | str:
    if spread.empty:
        return "no cells compare one layer with several"
    counts = sorted(spread["count"].unique())
    try:
        return contrast(spread, "count", counts[0], counts[-1], ["kind", "total", *_TASK])
    except TooFewCells as error:
        return str(error)


def _spread_claim(ratio: Estimate | str, spread: pd.DataFrame) -> Claim:
    if isinstance(ratio, str):
        return Claim(Stance.OPEN, f"One layer against many is open: {ratio}.")
    few, many = spread["count"].min(), spread["count"].max()
    total = spread["total"].max()
    one, other = (
        f"{few:g} layer{'s' if few > 1 else ''} with rank {total / few:g}",
        f"{many:g} with rank {total / many:g}",
    )
    text = f"{one} hold{'s' if few == 1 else ''} {ratio} times the bits of {other}"
    if ratio.high < 1:
        return Claim(
            Stance.AGAINST,
            f"**Rank is not what counts, parameters in many places are**: {text}. That capacity per parameter is largest at low rank agrees with arXiv 2603.01097.",
        )
    if ratio.low > 1:
        return Claim(
            Stance.AGAINST,
            f"**One place with a high rank holds more**: {text}. That contradicts a capacity per parameter that is largest at low rank (arXiv 2603.01097).",
        )
    return Claim(Stance.FOR, f"Equal parameters hold the same, in one place or many: {text}, which holds 1.")


def _summary(cells: pd.DataFrame, by: list[str], names: dict[str, str]) -> pd.DataFrame:
    """A row per placement, length and size: means over seeds."""
    keys = [*by, "lora.rank", "target_tokens", "trainable_parameters"]
    columns = [names[key] for key in by] + [
        "r",
        "ℓ",
        "parameters",
        "effective parameters",
        "cells",
        "ΔL (nats)",
        BITS.replace("_", " "),
    ]
    rows = []
    for values, group in cells.groupby(keys) if len(cells) else ():
        first = values[0] if not isinstance(values[0], tuple) else ", ".join(map(str, values[0]))
        rows.append(
            [
                first,
                *values[1:],
                group[EFFECTIVE].mean(),
                len(group),
                group["delta_loss_nats"].mean(),
                group[BITS].mean(),
            ]
        )
    return pd.DataFrame(rows, columns=columns)


def _figure(modules: pd.DataFrame, depth: pd.DataFrame, spread: pd.DataFrame) -> Figure | None:
    """Draw bits per parameter by modules, by layer, and by the number of layers."""
    panels = [
        (modules, "kind", "adapted modules of one layer"),
        (depth.assign(layer=[layers[0] for layers in depth["layers"]]), "layer", "adapted layer"),
        (spread, "count", "layers adapted, rank · layers equal"),
    ]
    panels = [panel for panel in panels if len(panel[0])]
    if not panels:
        return None
    count = sum(len(cells) for cells, _, _ in panels)
    figure = new_figure(
        "Where an adapter holds the most", f"n = {count} cells, a point each; lines: means", 4.4 * len(panels), 4.4
    )
    for axes, (cells, column, label) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _panel(axes, cells, column, label)
    return figure


def _panel(axes: Axes, cells: pd.DataFrame, column: str, label: str) -> None:
    kinds = [kind for kind in KINDS.values() if kind in set(cells[column])] if column == "kind" else []
    values = kinds + sorted(set(cells[column]) - set(kinds))
    places = {value: index if column != "layer" else value for index, value in enumerate(values)}
    lengths = sorted(cells["target_tokens"].unique())
    for index, length in enumerate(lengths):
        shown = cells[cells["target_tokens"] == length]
        colour = CYCLE[index] if len(lengths) > 1 else BLUE
        axes.plot([places[value] for value in shown[column]], shown[BITS], "o", color=colour, markersize=5, alpha=0.8)
        mean = shown.groupby(shown[column].map(places))[BITS].mean()
        axes.plot(mean.index, mean, color=colour, linewidth=0.9, label=f"ℓ = {length:g}")
    axes.set_xticks(list(places.values()), [str(value) for value in places])
    axes.set_ylim(0, 1.1 * float(cells[BITS].max()))
    axes.set_xlabel(label)
    axes.set_ylabel("bits per trainable parameter")
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7)


PLACEMENT = Experiment(
    "placement",
    "Where does an adapter hold the most?",
    "placement",
    ("placement", "placement_depth", "placement_spread"),
    analyze,
)
