"""What would run: cells, packs, memory and time, known before any weight is loaded.

`python -m memlaw.plan` takes the arguments of `python -m memlaw.train`, prints the plan and trains nothing.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from omegaconf import DictConfig
from transformers import PreTrainedConfig

from memlaw.base_model import resolve_device, resolve_precision, without_weights
from memlaw.cell import Cell
from memlaw.checks import check_cell, check_settings, instantiate_checked, resolve_cell
from memlaw.cost import CostModel, step_flops
from memlaw.data.tokens import loop_shape
from memlaw.packing import make_packs, pack_bytes
from memlaw.records import read_results
from memlaw.sizes import Sizes, layer_parameters, sizes_of
from memlaw.targets import Target
from memlaw.token_loss import CHUNK_BYTES

COST_COLUMNS = ["pack_size", "step_flops", "worker_seconds", "steps_trained"]
"""Columns of `result.json` that the cost model is fitted to."""


@dataclass(frozen=True)
class Pack:
    """Cells to train together.

    Attributes:
        cells: the cells.
        sizes: of each cell.
        cell_seconds: estimated share of each cell in its worker's time, no early stop assumed.
        bytes: estimated peak memory, the base model included.
    """

    cells: list[Cell]
    sizes: list[Sizes]
    cell_seconds: list[float]
    bytes: int


@dataclass(frozen=True)
class Plan:
    """Packs in the order in which they run, and what their times rest on."""

    packs: list[Pack]
    cost: CostModel


def make_plan(cells: Sequence[Cell], cfg: DictConfig, workers: int) -> Plan:
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
    known: dict[str, tuple[PreTrainedConfig, list[Target], int, float]] = {}
    sizes: dict[str, Sizes] = {}
    base_bytes: dict[str, int] = {}
    for cell in cells:
        key = str((cell.config.model, {**cell.config.lora, "rank": None}))
        if key not in known:
            config, targets = resolve_cell(cell)
            model = without_weights(config)
            known[key] = config.get_text_config(), targets, model.num_parameters(), layer_parameters(model)
        text, targets, parameters, per_layer = known[key]
        value_bytes = resolve_precision(cell.config.precision, device).itemsize
        shape = instantiate_checked(cell.config.data).expected_shape(cell.config.seq_len)
        sizes[cell.name] = sizes_of(cell, shape, text, per_layer, targets, value_bytes)
        base_bytes[cell.name] = parameters * value_bytes
    budgets = [memory - base_bytes[cell.name] for cell in cells]
    chunk = CHUNK_BYTES[device.type]
    groups = make_packs(cells, [sizes[cell.name] for cell in cells], budgets, cfg.pack.max_cells, chunk)
    cost = cost_model(cells[0].study, device, resolve_precision(cells[0].config.precision, device))
    packs = []
    for group in groups:
        own = [sizes[cell.name] for cell in group]
        seconds = [
            cost.cell_seconds(step_flops(size), len(group), loop_shape(cell.config, size.all_rows)[1])
            for cell, size in zip(group, own, strict=True)
        ]
        packs.append(Pack(group, own, seconds, pack_bytes(own, chunk) + base_bytes[group[0].name]))
    return Plan(packs, cost)


def cost_model(study: Path, device: torch.device, dtype: torch.dtype) -> CostModel:
    """From the study's finished cells on the same kind of device in the same precision, else a guess."""
    rows: Any = read_results(study) if study.exists() else []
    if len(rows):
        same = rows["device"].str.startswith(device.type) & (rows["dtype"] == str(dtype).removeprefix("torch."))
        rows = rows[same & (rows["steps_trained"] > 0)].reindex(columns=COST_COLUMNS).dropna()
    if not len(rows):
        return CostModel.guess(device, dtype)
    seconds = rows["worker_seconds"] / rows["steps_trained"]
    return CostModel.from_cells(rows["pack_size"], rows["step_flops"], seconds)


def _memory_bytes(memory_gb: str | float, device: torch.device, workers: int) -> int:
    """Memory for one pack and its base model: as told, 80 % of a GPU, or half of what the CPU has free."""
    if memory_gb != "auto":
        return int(float(memory_gb) * 1e9)
    if device.type == "cuda":
        return int(0.8 * torch.cuda.get_device_properties(device).total_memory)
    return int(0.5 * psutil.virtual_memory().available / workers)


def main() -> None:
    """Command line entry."""
    from memlaw.train import run

    sys.argv.append("dry_run=true")
    run()


if __name__ == "__main__":
    main()
