"""Pure: cells to packs within a memory budget.

Shapes: N cells, B rows of a batch per cell, T positions of a row, D hidden size.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from memlaw.cell import Cell

_FREE_WITHIN_A_PACK = (
    ("seed",),
    ("lora", "rank"),
    ("lora", "scaling"),
    ("lora", "lora_alpha"),
    ("data", "random_ratio"),
)


def pack_key(cell: Cell) -> str:
    """Cells with the same key can train together: same base model, lengths, layers, optimizer and steps."""
    config: Any = OmegaConf.to_container(cell.config)
    for path in _FREE_WITHIN_A_PACK:
        parent = config
        for key in path[:-1]:
            parent = parent[key]
        parent.pop(path[-1], None)
    return json.dumps(config, sort_keys=True)


def _model_key(cell: Cell) -> str:
    """A worker keeps the model of its last pack, so packs of one model follow each other."""
    return json.dumps(OmegaConf.to_container(cell.config.model), sort_keys=True)


@dataclass(frozen=True)
class Sizes:
    """What the memory of a cell depends on.

    Attributes:
        rows: rows of a batch.
        positions: T of a row.
        all_rows: rows of the whole memory, for the prefix cache.
        hidden, intermediate: D, and the MLP's inner size.
        suffix_layers: decoder layers from the lowest adapted one on.
        adapter_parameters: trainable parameters at the cell's rank.
        value_bytes: bytes of an activation.
    """

    rows: int
    positions: int
    all_rows: int
    hidden: int
    intermediate: int
    suffix_layers: int
    adapter_parameters: int
    value_bytes: int


def cell_bytes(s: Sizes) -> int:
    """Estimated memory that one more cell adds to a pack.

    Activations kept for backward, per token and suffix layer: about 12 values of the hidden size (norms,
    queries, keys, values, attention output, residuals) and 4 of the MLP's inner size. Adapter: parameter,
    gradient and two moments in fp32. Prefix: its output for every row.
    """
    tokens = s.rows * s.positions
    activations = tokens * s.suffix_layers * (12 * s.hidden + 4 * s.intermediate) * s.value_bytes
    head = tokens * 3 * s.hidden * s.value_bytes
    prefix = s.all_rows * s.positions * s.hidden * s.value_bytes
    return activations + head + prefix + 16 * s.adapter_parameters


def make_packs(
    cells: Sequence[Cell], bytes_of: Sequence[int], budget_of: Sequence[int], max_cells: int
) -> list[list[Cell]]:
    """Group cells by model and `pack_key`, in the order given, and cut each group where the budget is full.

    A cell that is larger than the budget gets a pack of its own.

    Args:
        cells: the cells.
        bytes_of: what each adds to a pack (`cell_bytes`).
        budget_of: what a pack with it may hold, the base model's weights not counted.
        max_cells: most cells in a pack.
    """
    models = list(dict.fromkeys(_model_key(cell) for cell in cells))
    order = sorted(zip(cells, bytes_of, budget_of, strict=True), key=lambda item: models.index(_model_key(item[0])))
    groups: dict[str, list[tuple[Cell, int, int]]] = {}
    for cell, size, budget in order:
        groups.setdefault(pack_key(cell), []).append((cell, size, budget))
    packs: list[list[Cell]] = []
    for group in groups.values():
        used = 0
        pack: list[Cell] = []
        for cell, size, budget in group:
            if pack and (used + size > budget or len(pack) == max_cells):
                packs.append(pack)
                used, pack = 0, []
            pack.append(cell)
            used += size
        packs.append(pack)
    return packs
