"""Pure: cells to packs within a memory budget.

Shapes: T positions of a row, D hidden size, V vocabulary.
"""

import json
from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from memlaw.cell import Cell
from memlaw.sizes import Sizes

_FREE_WITHIN_A_PACK = (
    ("seed",),
    ("method",),
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


def pack_bytes(cells: Sequence[Sizes], chunk_bytes: int) -> int:
    """Estimated peak memory of a pack's step, the base model's weights not counted.

    Per token and layer above the first adapted one backward needs about 6 values of the hidden size (inputs
    of both norms, query, key, value, attention output) and 3 of the MLP's inner size (gate, its activation,
    up), and for a moment as much again of one layer. Each adapter takes parameter, gradient and two moments
    in fp32, padded to the pack's largest rank, and its fp32 input. The prefix is kept once per distinct row
    and once per row of the batch. The head holds one chunk of logits with its gradient and what lies between.

    Args:
        cells: what the pack holds.
        chunk_bytes: fp32 logits held at a time (`memlaw.token_loss.CHUNK_BYTES`).
    """
    one = cells[0]
    layer = 6 * one.hidden + 3 * one.intermediate
    kept = {"inside": one.hidden + one.kept_inside, "input": one.hidden, "none": 0}[one.cached]
    per_token = (layer * (one.layers - one.first_layer) + 4 * one.hidden + kept) * one.value_bytes
    per_token += 4 * one.adapter_inputs
    steps = sum(cell.tokens for cell in cells) * per_token
    adapters = 16 * len(cells) * max(cell.adapter_parameters for cell in cells)
    rows = {cell.memory: cell.all_rows * cell.positions for cell in cells}
    return steps + adapters + sum(rows.values()) * kept * one.value_bytes + 3 * chunk_bytes


def make_packs(
    cells: Sequence[Cell], sizes: Sequence[Sizes], budget_of: Sequence[int], max_cells: int, chunk_bytes: int
) -> list[list[Cell]]:
    """Group cells by model and `pack_key`, in the order given, and cut each group where the budget is full.

    A cell that is larger than the budget gets a pack of its own.

    Args:
        cells: the cells.
        sizes: of each cell.
        budget_of: what a pack with it may hold (`pack_bytes`).
        max_cells: most cells in a pack.
        chunk_bytes: see `pack_bytes`.
    """
    models = list(dict.fromkeys(_model_key(cell) for cell in cells))
    order = sorted(zip(cells, sizes, budget_of, strict=True), key=lambda item: models.index(_model_key(item[0])))
    groups: dict[str, list[tuple[Cell, Sizes, int]]] = {}
    for cell, size, budget in order:
        groups.setdefault(pack_key(cell), []).append((cell, size, budget))
    packs: list[list[tuple[Cell, Sizes, int]]] = []
    for group in groups.values():
        packs.append([])
        for item in group:
            full = len(packs[-1]) == max_cells
            if packs[-1] and (full or pack_bytes([size for _, size, _ in [*packs[-1], item]], chunk_bytes) > item[2]):
                packs.append([])
            packs[-1].append(item)
    return [[cell for cell, _, _ in pack] for pack in packs]
