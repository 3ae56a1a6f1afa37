"""What a cell's memory and work depend on, known before any weight is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from memlaw.cell import Cell
from memlaw.prefix import layers_path
from memlaw.targets import Target


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
        attention: heads times head size.
        adapter_parameters: trainable parameters at the cell's rank.
        adapter_inputs: sum over adapted modules of their input size.
        kept_inside: values per token that the prefix keeps of modules inside the first adapted layer.
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
    attention: int
    adapter_parameters: int
    adapter_inputs: int
    kept_inside: int
    value_bytes: int

    @property
    def tokens(self) -> int:
        """Tokens of a batch."""
        return self.rows * self.positions


def layer_parameters(model: PreTrainedModel) -> float:
    """Mean size of the matrices of a decoder layer, from a model with or without weights."""
    path = layers_path(model, model.config)
    assert path is not None
    stack = model.get_submodule(path)
    weights = sum(weight.numel() for weight in stack.parameters() if weight.dim() > 1)
    return weights / model.config.get_text_config().num_hidden_layers


def sizes_of(
    cell: Cell, shape: tuple[int, int], model: Any, per_layer: float, targets: Sequence[Target], value_bytes: int
) -> Sizes:
    """Sizes of a cell.

    Args:
        cell: the cell.
        shape: rows of its memory and tokens of a row.
        model: the base model's config, text part.
        per_layer: `layer_parameters` of the base model.
        targets: the modules that the cell adapts.
        value_bytes: bytes of an activation.
    """
    c = cell.config
    all_rows, positions = shape
    rows = min(c.batch_size, all_rows)
    hidden = model.hidden_size
    intermediate = getattr(model, "intermediate_size", None) or 4 * hidden
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
        vocabulary=model.vocab_size,
        layers=model.num_hidden_layers,
        first_layer=first.layer,
        layer_parameters=per_layer,
        attention=model.num_attention_heads * (getattr(model, "head_dim", None) or hidden // model.num_attention_heads),
        adapter_parameters=sum(c.lora.rank * (target.in_features + target.out_features) for target in targets),
        adapter_inputs=sum(target.in_features for target in targets),
        kept_inside=inside,
        value_bytes=value_bytes,
    )
