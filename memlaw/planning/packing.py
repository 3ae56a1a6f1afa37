"""Group cells into packs within a budget of RAM.

Shapes: T positions of a row, D hidden size, V vocabulary.
"""

import json
from collections.abc import Sequence
from itertools import chain
from typing import Any

from omegaconf import OmegaConf

from memlaw.planning.planned import PlannedCell
from memlaw.planning.sizes import Sizes
from memlaw.study.cell import Cell

_FREE_WITHIN_A_PACK = (
    ("seed",),
    ("method",),
    ("lora", "rank"),
    ("lora", "scaling"),
    ("lora", "lora_alpha"),
    ("lora", "init"),
    ("data", "random_ratio"),
)


def pack_key(cell: Cell) -> str:
    """Return a key that is equal for cells that can train together: equal model, length, layers, optimizer, steps."""
    config: Any = OmegaConf.to_container(cell.config)
    for path in _FREE_WITHIN_A_PACK:
        parent = config
        for key in path[:-1]:
            parent = parent[key]
        parent.pop(path[-1], None)
    return json.dumps(config, sort_keys=True)


def _model_key(cell: Cell) -> str:
    """Return a key of the base model. A worker reuses the model of its last pack, so these packs follow each other."""
    return json.dumps(OmegaConf.to_container(cell.config.model), sort_keys=True)


def pack_bytes(cells: Sequence[Sizes], chunk_bytes: int) -> int:
    """Estimate the peak RAM of a pack's step, without the base model's weights.

    For each token and each layer from the first adapted layer on, backward needs about 6 values of the hidden size
    (inputs of both norms, query, key, value, attention output) and 3 of the MLP's inner size (gate, its activation,
    up). For a moment it needs as much again for a single layer. Each adapter takes parameter, gradient and two
    moments in its dtype, padded to the pack's largest rank, its input in that dtype and, with dropout, a byte per
    value of its output. The prefix is cached once per distinct row and once per row of the batch. The head takes three
    times a chunk of logits: logits, gradient, intermediate values.

    Args:
        cells: sizes of the pack's cells.
        chunk_bytes: bytes of a chunk of fp32 logits (`memlaw.models.head.CHUNK_BYTES`).
    """
    s = cells[0]  # cells of a pack are equal in everything that is read from it
    layer = 6 * s.hidden + 3 * s.intermediate
    prefix = {"inside": s.hidden + s.cached_inside, "input": s.hidden, "none": 0}[s.cached]
    per_token = (layer * (s.layers - s.first_layer) + 4 * s.hidden + prefix) * s.value_bytes
    per_token += s.adapter_bytes * s.adapter_inputs + s.dropout_outputs
    steps = sum(cell.tokens for cell in cells) * per_token
    adapters = 4 * s.adapter_bytes * len(cells) * max(cell.adapter_parameters for cell in cells)
    rows = {cell.rows_key: cell.all_rows * cell.positions for cell in cells}
    return steps + adapters + sum(rows.values()) * prefix * s.value_bytes + 3 * chunk_bytes


def make_packs(
    cells: Sequence[PlannedCell], *, budget_bytes: int, max_cells: int, chunk_bytes: int
) -> list[list[PlannedCell]]:
    """Group cells by model and `pack_key`, in the order given, and cut each group where the budget is full.

    A cell that is larger than the budget is alone in its pack.

    Args:
        cells: the cells.
        budget_bytes: RAM for a pack and its base model.
        max_cells: most cells in a pack.
        chunk_bytes: see `pack_bytes`.
    """
    models: dict[str, list[PlannedCell]] = {}
    for planned in cells:
        models.setdefault(_model_key(planned.cell), []).append(planned)
    groups: dict[str, list[PlannedCell]] = {}
    for planned in chain.from_iterable(models.values()):
        groups.setdefault(pack_key(planned.cell), []).append(planned)
    packs: list[list[PlannedCell]] = []
    for group in groups.values():
        packs.append([])
        for planned in group:
            together = [member.sizes for member in (*packs[-1], planned)]
            full = len(together) > max_cells or pack_bytes(together, chunk_bytes) > budget_bytes - planned.base_bytes
            if packs[-1] and full:
                packs.append([])
            packs[-1].append(planned)
    return packs
