"""From cells to packs: what each cell needs, known before any weight is loaded."""

from collections.abc import Sequence
from typing import Any

import psutil
import torch
from omegaconf import DictConfig

from memlaw.base_model import resolve_device, resolve_precision, without_weights
from memlaw.cell import Cell
from memlaw.checks import check_cell, check_settings, instantiate_checked, resolve_cell
from memlaw.packing import Sizes, cell_bytes, make_packs
from memlaw.targets import Target


def plan_packs(cells: Sequence[Cell], cfg: DictConfig, workers: int) -> list[list[Cell]]:
    """Check the cells and group them into packs that fit the memory.

    Args:
        cells: the cells to train.
        cfg: a composed config, for its operational settings.
        workers: processes that share this machine's CPU and its memory.

    Raises:
        ConfigError: naming what is impossible.
    """
    check_settings(cfg)
    for cell in cells:
        check_cell(cell)
    device = resolve_device(cfg.trainer.device)
    memory = _memory_bytes(cfg.pack.memory_gb, device, workers)
    known: dict[str, tuple[Any, list[Target], int]] = {}
    sizes, budgets = [], []
    for cell in cells:
        key = str((cell.config.model, {**cell.config.lora, "rank": None}))
        if key not in known:
            model, targets = resolve_cell(cell)
            known[key] = model, targets, without_weights(model).num_parameters()
        model, targets, base_parameters = known[key]
        value_bytes = resolve_precision(cell.config.precision, device).itemsize
        sizes.append(cell_bytes(_sizes(cell, model.get_text_config(), targets, value_bytes)))
        budgets.append(memory - base_parameters * value_bytes)
    return make_packs(cells, sizes, budgets, cfg.pack.max_cells)


def _sizes(cell: Cell, model: Any, targets: list[Target], value_bytes: int) -> Sizes:
    c = cell.config
    all_rows, positions = instantiate_checked(c.data).expected_shape(c.seq_len)
    return Sizes(
        rows=min(c.batch_size, all_rows),
        positions=positions,
        all_rows=all_rows,
        hidden=model.hidden_size,
        intermediate=getattr(model, "intermediate_size", 4 * model.hidden_size),
        suffix_layers=model.num_hidden_layers - min(target.layer for target in targets),
        adapter_parameters=sum(c.lora.rank * (target.in_features + target.out_features) for target in targets),
        value_bytes=value_bytes,
    )


def _memory_bytes(memory_gb: str | float, device: torch.device, workers: int) -> int:
    """Memory for one pack and its base model: as told, 80 % of a GPU, or half of what the CPU has free."""
    if memory_gb != "auto":
        return int(float(memory_gb) * 1e9)
    if device.type == "cuda":
        return int(0.8 * torch.cuda.get_device_properties(device).total_memory)
    return int(0.5 * psutil.virtual_memory().available / workers)
