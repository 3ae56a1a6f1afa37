"""What a cell's memory and work depend on, known before any weight is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from memlaw.anatomy import fused_experts, hidden_size, layers_of, layers_path, linear_maps, vocabulary_size
from memlaw.cell import Cell
from memlaw.targets import Target

CACHED = {
    "inside": "the input of the first adapted layer, and what it computes before an adapter acts",
    "input": "the input of the first adapted layer",
    "none": "nothing: every step runs the whole model",
}
"""How much of the frozen prefix is kept."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of one cell.

    Attributes:
        memory: what tells the cell's rows from another's; cells with the same rows share their prefix.
        rows: rows of a batch.
        positions: tokens of a row.
        all_rows: rows of the whole memory.
        scored: target tokens of a batch.
        hidden, intermediate, vocabulary: D, the MLP's inner size, V.
        layers, first_layer: decoder layers, and the lowest adapted one.
        layer_parameters: weights of the matrices of one decoder layer.
        parameters_after: those of the first adapted layer that act after its first adapter.
        attention: heads times head size.
        adapter_parameters: trainable parameters at the cell's rank.
        adapter_inputs: sum over adapted modules of their input size.
        cached: how much of the prefix is kept, a key of `CACHED`.
        kept_inside: values per token of modules inside the first adapted layer that are kept with `inside`.
        value_bytes: bytes of an activation.
    """

    memory: str
    rows: int
    positions: int
    all_rows: int
    scored: float
    hidden: int
    intermediate: int
    vocabulary: int
    layers: int
    first_layer: int
    layer_parameters: float
    parameters_after: int
    attention: int
    adapter_parameters: int
    adapter_inputs: int
    cached: str
    kept_inside: int
    value_bytes: int

    @property
    def tokens(self) -> int:
        """Tokens of a batch."""
        return self.rows * self.positions


@dataclass(frozen=True)
class Weights:
    """What `Sizes` takes from a base model, with or without its weights loaded; read off its modules.

    Attributes:
        hidden, vocabulary: D and V.
        intermediate: input size of the widest linear map back to D, outside attention, in the first adapted layer; 0
            without one. Of fused experts it is one expert's.
        attention: input size of the map with which attention ends there; 0 without attention.
        layers: decoder layers.
        parameters: of the whole model.
        per_layer: mean size of the matrices of a decoder layer.
        after: of the matrices in the first adapted layer, those after its first adapted module, as registered.
    """

    hidden: int
    vocabulary: int
    intermediate: int
    attention: int
    layers: int
    parameters: int
    per_layer: float
    after: int

    @classmethod
    def of(cls, model: PreTrainedModel, targets: Sequence[Target]) -> "Weights":
        """Count them."""
        path, layers, hidden = layers_path(model), layers_of(model), hidden_size(model)
        matrices = {name: weight.numel() for name, weight in model.named_parameters() if weight.dim() > 1}
        in_layers = sum(size for name, size in matrices.items() if name.startswith(f"{path}."))
        first = min(target.layer for target in targets)
        names = [name for name in matrices if name.startswith(f"{path}.{first}.")]
        adapted = [target.name for target in targets if target.layer == first]
        last = min(
            max((i for i, name in enumerate(names) if name.startswith(f"{module}.")), default=len(names) - 1)
            for module in adapted
        )
        attention, intermediate = _widths(layers[first], hidden)
        return cls(
            hidden,
            vocabulary_size(model),
            intermediate,
            attention,
            len(layers),
            model.num_parameters(),
            in_layers / len(layers),
            sum(matrices[name] for name in names[last + 1 :]),
        )


def _widths(layer: nn.Module, hidden: int) -> tuple[int, int]:
    """Inner sizes of a layer's attention and of the rest: what maps back to D take."""
    attending = [name for name, part in layer.named_modules() if "attention" in type(part).__name__.lower()]
    back = {name: size for name, size, out in linear_maps(layer) if out == hidden}
    inside = {name: size for name, size in back.items() if name.startswith(tuple(f"{part}." for part in attending))}
    outside = [size for name, size in back.items() if name not in inside]
    fused = [size for weight in fused_experts(layer) for size in weight.shape[1:] if size != hidden]
    return max(inside.values(), default=0), max([*outside, min(fused, default=0)], default=0)


def sizes_of(
    cell: Cell, shape: tuple[int, int], weights: Weights, targets: Sequence[Target], value_bytes: int, cached: str
) -> Sizes:
    """Sizes of a cell.

    Args:
        cell: the cell.
        shape: rows of its memory and tokens of a row.
        weights: of the base model.
        targets: the modules that the cell adapts.
        value_bytes: bytes of an activation.
        cached: how much of the prefix is kept; with the lowest layer adapted it is nothing in any case.
    """
    c = cell.config
    all_rows, positions = shape
    rows = min(c.batch_size, all_rows)
    hidden, intermediate = weights.hidden, weights.intermediate
    first = min(targets, key=lambda target: target.layer)
    inside = first.out_features
    if c.lora.placement == "block":
        inside = 2 * hidden  # the attention's output and the block's own
    elif first.in_features == intermediate:
        inside = 2 * hidden + 2 * intermediate  # the attention's output and all of the MLP's
    return Sizes(
        memory=str((c.data, c.seq_len, c.seed)),
        rows=rows,
        positions=positions,
        all_rows=all_rows,
        scored=c.seq_len * rows / all_rows,
        hidden=hidden,
        intermediate=intermediate,
        vocabulary=weights.vocabulary,
        layers=weights.layers,
        first_layer=first.layer,
        layer_parameters=weights.per_layer,
        parameters_after=weights.after,
        attention=weights.attention,
        adapter_parameters=sum(c.lora.rank * (target.in_features + target.out_features) for target in targets),
        adapter_inputs=sum(target.in_features for target in targets),
        cached=cached if first.layer > 0 else "none",
        kept_inside=inside,
        value_bytes=value_bytes,
    )
