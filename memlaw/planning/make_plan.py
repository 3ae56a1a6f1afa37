"""Plan packs with their RAM and time, before any weight is loaded."""

import logging
from collections.abc import Sequence

import pandas as pd
import torch
from omegaconf import DictConfig

from memlaw.adapters.spec import AUTO
from memlaw.adapters.targets import module_names
from memlaw.models.head import CHUNK_BYTES
from memlaw.planning.checks import check_cell, check_length, check_settings
from memlaw.planning.cost import UNMEASURED, CostModel
from memlaw.planning.machine import Machine
from memlaw.planning.measured_cost import cost_of_study
from memlaw.planning.packing import make_packs, pack_bytes
from memlaw.planning.planned import Pack, Plan, PlannedCell
from memlaw.planning.resolved import ResolvedCell
from memlaw.planning.sizes import sizes_of
from memlaw.planning.soundness import refuse_unsound_architecture
from memlaw.study.cell import Cell
from memlaw.study.records import read_results

log = logging.getLogger(__name__)


def make_plan(cells: Sequence[Cell], cfg: DictConfig, machine: Machine) -> Plan:
    """Check the cells and group them into packs that fit the RAM.

    Args:
        cells: the cells to train.
        cfg: a composed config, of which only operational keys are read.
        machine: what the packs train on. Its RAM applies where `pack.memory_gb` is `auto`.

    Raises:
        ConfigError: naming the impossible key.
    """
    check_settings(cfg)
    resolved = [check_cell(cell) for cell in cells]
    _check_models(resolved)
    for cell in resolved:
        check_length(cell)
    cached = "none" if cfg.trainer.prefix_cache_gb == 0 else "inside"
    planned = [_planned(cell, machine.dtype(cell.cell.config.precision), cached) for cell in resolved]
    auto = cfg.pack.memory_gb == "auto"  # this key limits RAM, or the memory of a GPU
    chunk_bytes = CHUNK_BYTES[machine.device_type]
    groups = make_packs(
        planned,
        budget_bytes=machine.ram_bytes if auto else int(float(cfg.pack.memory_gb) * 1e9),
        max_cells=cfg.pack.max_cells,
        chunk_bytes=chunk_bytes,
    )
    packs = [
        Pack(group, pack_bytes([member.sizes for member in group], chunk_bytes) + group[0].base_bytes)
        for group in groups
    ]
    return Plan(packs, _cost(cells[0], cfg, machine))


def _check_models(cells: Sequence[ResolvedCell]) -> None:
    """Test each adapted base model once, and log the modules that `lora.target_modules=auto` has chosen."""
    names = {resolved.adapted: resolved.cell.config.model.name for resolved in cells}
    for adapted, name in names.items():
        refuse_unsound_architecture(adapted)
        if adapted.spec.target_modules == AUTO:
            modules, layers = module_names(adapted.targets), sorted({target.layer for target in adapted.targets})
            log.info("%s: the adapter is on %s of layers %s", name, ", ".join(modules), layers)


def _planned(resolved: ResolvedCell, dtype: torch.dtype, cached: str) -> PlannedCell:
    adapted = resolved.adapted
    sizes = sizes_of(
        resolved.cell,
        shape=resolved.expected_shape,
        model=adapted.shape,
        targets=adapted.targets,
        value_bytes=dtype.itemsize,
        adapter_bytes=resolved.spec.dtype.itemsize,
        evaluations=resolved.timetable.forwards_per_step,
        cached=cached,
    )
    return PlannedCell(resolved.cell, sizes, resolved.timetable.total_steps, adapted.shape.parameters * dtype.itemsize)


def _cost(cell: Cell, cfg: DictConfig, machine: Machine) -> CostModel:
    """Fit the study's finished cells. Where there are none, measure this machine's CPU, or in a dry run its GPU."""
    finished = read_results(cell.study) if cell.study.exists() else pd.DataFrame()
    dtype = machine.dtype(cell.config.precision)
    measured = cost_of_study(finished, machine.device_type, dtype)
    if measured is None and (machine.device_type == "cpu" or (cfg.dry_run and not machine.remote)):
        return CostModel.guess(torch.device(machine.device), dtype)
    return measured or UNMEASURED
