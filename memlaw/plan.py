"""What would run: cells, packs, memory and time, known before any weight is loaded.

`python -m memlaw.plan` takes the arguments of `python -m memlaw.train`, prints the plan and trains nothing.
"""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import psutil
import torch
from omegaconf import DictConfig

from memlaw.base_model import resolve_device, resolve_precision, without_weights
from memlaw.cell import Cell
from memlaw.checks import check_cell, check_length, check_settings, instantiate_checked, resolve_cell
from memlaw.cost import CostModel, step_flops
from memlaw.lora_spec import AUTO, LoraSpec
from memlaw.memft import method_of
from memlaw.packing import make_packs, pack_bytes
from memlaw.records import read_results
from memlaw.schedule import schedule_of
from memlaw.sizes import Sizes, Weights, sizes_of
from memlaw.soundness import refuse_unsound_architecture
from memlaw.targets import Target, module_names
from memlaw.token_loss import CHUNK_BYTES
from memlaw.words import as_typed, with_last

log = logging.getLogger(__name__)

COST_COLUMNS = ["pack_size", "step_flops", "worker_seconds", "steps_trained"]
"""Columns of `result.json` that the cost model is fitted to."""


UNMEASURED = CostModel(step_seconds=0.0, flop_seconds=1e-14, measured_cells=0)
"""Weighs cells by their arithmetic alone; a sweep measures nothing on the GPUs that its workers are to have."""


@dataclass(frozen=True)
class Machine:
    """What packs train on.

    Attributes:
        device: of a pack; of a remote machine, its type alone.
        memory_bytes: for a pack and its base model, where `pack.memory_gb` is `auto`.
        workers: packs that train at a time.
        remote: whether it is another machine than this one, of which nothing can be measured here.
    """

    device: torch.device
    memory_bytes: int
    workers: int
    remote: bool = False

    @classmethod
    def here(cls, device: str, workers: int) -> "Machine":
        """This machine: 80 % of a GPU for a pack, or half of what the CPU has free, shared by the workers.

        Raises:
            ConfigError: `device` (`trainer.device`) is not usable.
        """
        chosen = resolve_device(device)
        if chosen.type == "cuda":
            free = int(0.8 * torch.cuda.get_device_properties(chosen).total_memory)
        else:
            free = int(0.5 * psutil.virtual_memory().available / workers)
        return cls(chosen, free, workers)

    def dtype(self, precision: str) -> torch.dtype:
        """The dtype of the base model; `auto` on a GPU that is not here is bf16, as on any since Ampere.

        Raises:
            ConfigError: `precision` is none that there is.
        """
        if self.remote and self.device.type == "cuda" and precision == "auto":
            return torch.bfloat16
        return resolve_precision(precision, self.device)


@dataclass(frozen=True)
class Pack:
    """Cells to train together.

    Attributes:
        cells: the cells.
        sizes: of each cell.
        bytes: estimated peak memory, the base model included.
    """

    cells: list[Cell]
    sizes: list[Sizes]
    bytes: int

    def cell_seconds(self, cost: CostModel) -> list[float]:
        """Estimated share of each cell in its worker's time, no early stop assumed."""
        return [
            cost.cell_seconds(step_flops(size), len(self.cells), _total_steps(cell, size.all_rows))
            for cell, size in zip(self.cells, self.sizes, strict=True)
        ]


def _total_steps(cell: Cell, pairs: int) -> int:
    return schedule_of(cell.config, pairs, method_of(cell.config, pairs).curriculum).total_steps


@dataclass(frozen=True)
class Plan:
    """Packs in the order in which they run, and what their times rest on."""

    packs: list[Pack]
    cost: CostModel

    def forecast(self) -> dict[str, dict[str, float]]:
        """What `memlaw.status_file.FORECAST` names, by the cells' names."""
        return {
            cell.name: {"total_steps": _total_steps(cell, size.all_rows), "step_flops": step_flops(size)}
            for pack in self.packs
            for cell, size in zip(pack.cells, pack.sizes, strict=True)
        }

    def cost_after(self, done: Sequence[Cell]) -> CostModel:
        """The cost model once `done` cells of this plan have finished; the present one while there are none."""
        rows = [json.loads(cell.paths.result.read_text(encoding="utf-8")) for cell in done]
        last = rows[-1] if rows else {}
        same = [row for row in rows if (row["device"], row["dtype"]) == (last["device"], last["dtype"])]
        return _fitted(pd.DataFrame(same)) or self.cost


def make_plan(cells: Sequence[Cell], cfg: DictConfig, machine: Machine) -> Plan:
    """Check the cells and group them into packs that fit the memory.

    Args:
        cells: the cells to train.
        cfg: a composed config, for its operational settings.
        machine: what the packs train on.

    Raises:
        ConfigError: naming what is impossible.
    """
    check_settings(cfg)
    for cell in cells:
        check_cell(cell)
    auto = cfg.pack.memory_gb == "auto"
    memory = machine.memory_bytes if auto else int(float(cfg.pack.memory_gb) * 1e9)
    cached = "none" if cfg.trainer.prefix_cache_gb == 0 else "inside"
    known: dict[str, tuple[Any, list[Target], Weights]] = {}
    sizes: dict[str, Sizes] = {}
    base_bytes: dict[str, int] = {}
    for cell in cells:
        key = str((cell.config.model, {**cell.config.lora, "rank": None}))
        if key not in known:
            config, targets = resolve_cell(cell)
            refuse_unsound_architecture(config, LoraSpec.from_config(cell.config.lora, cell.config.seed))
            if cell.config.lora.target_modules == AUTO:
                modules, layers = ", ".join(module_names(targets)), sorted({target.layer for target in targets})
                log.info("%s: the adapter sits on %s of layers %s", cell.config.model.name, modules, layers)
            known[key] = config, targets, Weights.of(without_weights(config), targets)
        config, targets, weights = known[key]
        check_length(cell, config)
        value_bytes = machine.dtype(cell.config.precision).itemsize
        shape = instantiate_checked(cell.config.data).expected_shape(cell.config.seq_len)
        sizes[cell.name] = sizes_of(cell, shape, weights, targets, value_bytes, cached)
        base_bytes[cell.name] = weights.parameters * value_bytes
    budgets = [memory - base_bytes[cell.name] for cell in cells]
    chunk = CHUNK_BYTES[machine.device.type]
    groups = make_packs(cells, [sizes[cell.name] for cell in cells], budgets, cfg.pack.max_cells, chunk)
    packs = []
    for group in groups:
        own = [sizes[cell.name] for cell in group]
        packs.append(Pack(group, own, pack_bytes(own, chunk) + base_bytes[group[0].name]))
    finished = read_results(cells[0].study) if cells[0].study.exists() else pd.DataFrame()
    dtype = machine.dtype(cells[0].config.precision)
    cost = cost_model(finished, machine.device.type, dtype)
    if cost is None and (machine.device.type == "cpu" or (cfg.dry_run and not machine.remote)):
        cost = CostModel.guess(machine.device, dtype)
    return Plan(packs, cost or UNMEASURED)


def cost_model(finished: pd.DataFrame, device_type: str, dtype: torch.dtype) -> CostModel | None:
    """From finished cells on the same kind of device in the same precision; None when there are none.

    Args:
        finished: rows of `memlaw.records.read_results`.
        device_type: `cpu` or `cuda`.
        dtype: of the base model.
    """
    if finished.empty:
        return None
    same = finished["device"].str.startswith(device_type) & (finished["dtype"] == str(dtype).removeprefix("torch."))
    return _fitted(finished[same])


def _fitted(finished: pd.DataFrame) -> CostModel | None:
    rows = finished.reindex(columns=COST_COLUMNS).dropna().query("steps_trained > 0")
    if rows.empty:
        return None
    seconds = rows["worker_seconds"] / rows["steps_trained"]
    return CostModel.from_cells(rows["pack_size"], rows["step_flops"], seconds)


def main() -> None:
    """Command line entry."""
    from memlaw.train import main as train

    sys.argv[1:] = with_last(as_typed(sys.argv[1:]), "dry_run=true")
    train()


if __name__ == "__main__":
    main()
