"""Compute the sizes on which a cell's RAM and work depend, before any weight is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from memlaw.study.cell import Cell

if TYPE_CHECKING:  # these import torch, which readers of a study do without
    from memlaw.adapters.targets import Target
    from memlaw.planning.model_shape import ModelShape

CACHED = {
    "inside": "the input of the first adapted layer, and the outputs of its modules below the first adapter",
    "input": "the input of the first adapted layer",
    "none": "nothing: every step runs the whole model",
}
"""Cached part of the frozen prefix → its meaning."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of a cell.

    Attributes:
        rows_key: equal for cells with the same rows, which share their cached prefix.
        rows: rows of a batch.
        positions: tokens of a row.
        all_rows: rows of the whole memory.
        scored: target tokens of a batch.
        hidden, intermediate, vocabulary: D, the MLP's inner size, V.
        layers, first_layer: number of decoder layers, and index of the lowest adapted layer.
        layer_parameters: parameters in the matrices of a decoder layer.
        parameters_after: parameters of the first adapted layer that act after its first adapter.
        attention: heads times head size.
        adapter_parameters: trainable parameters at the cell's rank.
        adapter_inputs: sum over adapted modules of their input size.
        adapter_bytes: bytes of an adapter's parameter.
        dropout_outputs: sum over adapted modules of their output size; 0 without dropout.
        evaluations: forwards over all rows that evaluations take, per step.
        cached: cached part of the prefix, a key of `CACHED`.
        cached_inside: values per token that `inside` caches from modules of the first adapted layer.
        value_bytes: bytes of an activation.
    """

    rows_key: str
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
    adapter_bytes: int
    dropout_outputs: int
    evaluations: float
    cached: str
    cached_inside: int
    value_bytes: int

    @property
    def tokens(self) -> int:
        """Return the tokens of a batch."""
        return self.rows * self.positions


def sizes_of(
    cell: Cell,
    *,
    shape: tuple[int, int],
    model: "ModelShape",
    targets: "Sequence[Target]",
    value_bytes: int,
    adapter_bytes: int,
    evaluations: float,
    cached: str,
) -> Sizes:
    """Compute the sizes of a cell.

    Args:
        cell: the cell.
        shape: rows of its memory and tokens of a row.
        model: the base model's sizes.
        targets: the modules that the cell adapts.
        value_bytes: bytes of an activation.
        adapter_bytes: bytes of an adapter's parameter.
        evaluations: forwards over all rows that evaluations take, per step.
        cached: cached part of the prefix, a key of `CACHED`. With the lowest layer adapted it is always `none`.
    """
    c = cell.config
    all_rows, positions = shape
    rows = min(c.batch_size, all_rows)
    hidden, intermediate = model.hidden, model.intermediate
    first = min(targets, key=lambda target: target.layer)
    inside = first.out_features
    if c.lora.placement == "block":
        inside = 2 * hidden  # the attention's output and the block's own
    elif first.in_features == intermediate:
        inside = 2 * hidden + 2 * intermediate  # the attention's output and all of the MLP's
    return Sizes(
        rows_key=str((c.data, c.seq_len, c.seed)),
        rows=rows,
        positions=positions,
        all_rows=all_rows,
        scored=c.seq_len * rows / all_rows,
        hidden=hidden,
        intermediate=intermediate,
        vocabulary=model.vocabulary,
        layers=model.layers,
        first_layer=first.layer,
        layer_parameters=model.per_layer,
        parameters_after=model.after,
        attention=model.attention,
        adapter_parameters=sum(c.lora.rank * (target.in_features + target.out_features) for target in targets),
        adapter_inputs=sum(target.in_features for target in targets),
        adapter_bytes=adapter_bytes,
        dropout_outputs=sum(target.out_features for target in targets) if c.lora.dropout else 0,
        evaluations=evaluations,
        cached=cached if first.layer > 0 else "none",
        cached_inside=inside,
        value_bytes=value_bytes,
    )
