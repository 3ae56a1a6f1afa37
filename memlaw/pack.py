"""Train a pack: cells that share one frozen base model and one training loop. A single cell is a pack of one."""

import json
import logging
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import groupby

import torch
from filelock import Timeout
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from memlaw.base_model import BaseModel, positions, resolve_device, resolve_precision
from memlaw.cell import DONE, FAILED, Cell
from memlaw.cell_run import CellRun
from memlaw.data.memory import DataSource, Memory
from memlaw.data.tokens import RowOrder, TokenTable, steps_per_epoch
from memlaw.errors import ConfigError
from memlaw.evaluation import Evaluation
from memlaw.lora import LoraPack
from memlaw.lora_spec import LoraSpec
from memlaw.module import CachedPrefix, PackModule
from memlaw.prefix import Prefix
from memlaw.targets import resolve_targets
from memlaw.tracking import Tracker

log = logging.getLogger(__name__)


def train_pack(cells: Sequence[Cell], settings: DictConfig) -> None:
    """Train cells that `memlaw.packing.pack_key` puts together.

    Outcomes are in the cells' directories: a failure fails only the cells that it concerns and is not
    raised. Cells that another process is training, or has finished since they were planned, are left to it.

    Args:
        cells: planned cells of one pack.
        settings: the operational config: `trainer` and `logger`.
    """
    with ExitStack() as locks:
        mine = [cell for cell in cells if _locked(cell, locks) and cell.state != DONE]
        try:
            for cell in mine:
                cell.start()
            _train(mine, settings)
        except Exception as error:  # any cause: the sweep goes on with the other packs
            for cell in mine:
                if cell.state != DONE and cell.state != FAILED:
                    cell.fail(error)


def _locked(cell: Cell, locks: ExitStack) -> bool:
    try:
        locks.enter_context(cell.lock().acquire(timeout=0))
    except Timeout:
        log.warning("%s is being trained by another process; left to it", cell.name)
        return False
    return True


_loaded: dict[tuple[str, torch.dtype, torch.device], BaseModel] = {}
"""The base model of the pack before; a warm worker keeps it for its next pack."""


def _base_model(config: DictConfig, dtype: torch.dtype, device: torch.device) -> BaseModel:
    key = (json.dumps(OmegaConf.to_container(config)), dtype, device)
    if key not in _loaded:
        _loaded.clear()  # before the next one is loaded: two may not fit
        _loaded[key] = instantiate(config, _convert_="all").load(dtype, device)
    return _loaded[key]


def _train(cells: list[Cell], settings: DictConfig) -> None:
    if not cells:
        return
    config = cells[0].config
    device = resolve_device(settings.trainer.device)
    dtype = resolve_precision(config.precision, device)
    base = _base_model(config.model, dtype, device)
    tracker = Tracker(**settings.logger)
    prepared = []
    for cell in cells:
        try:
            memory = _memory(cell, base)
            prepared.append((_loop_shape(cell, memory), cell, memory))
        except ConfigError as error:
            cell.fail(error)
    # Cells whose tables differ in pairs may differ in rows per step or steps per epoch; train these in turn.
    for (batch_rows, total_steps), group in groupby(sorted(prepared, key=lambda p: p[0]), key=lambda p: p[0]):
        members = [(cell, memory) for _, cell, memory in group]
        _train_together(members, base, tracker, settings, batch_rows, total_steps)
    tracker.drain()


def _memory(cell: Cell, base: BaseModel) -> Memory:
    c = cell.config
    source: DataSource = instantiate(c.data, _convert_="all")
    memory = source.build(base.tokenizer, c.seq_len, c.seed)
    longest = max(len(pair.query_ids) + len(pair.target_ids) for pair in memory.pairs)
    allowed = positions(base.model.config)
    if longest > allowed:
        raise ConfigError(
            f"seq_len={c.seq_len}: query and target take {longest} tokens; {c.model.name} has {allowed} positions"
        )
    return memory


def _loop_shape(cell: Cell, memory: Memory) -> tuple[int, int]:
    """Rows per step and total steps of a cell."""
    c, pairs = cell.config, len(memory.pairs)
    batch_rows = min(c.batch_size, pairs)
    return batch_rows, c.steps or c.epochs * steps_per_epoch(pairs, batch_rows)


def _train_together(
    members: list[tuple[Cell, Memory]],
    base: BaseModel,
    tracker: Tracker,
    settings: DictConfig,
    batch_rows: int,
    total_steps: int,
) -> None:
    cells, memories = [cell for cell, _ in members], [memory for _, memory in members]
    config = cells[0].config
    specs = [LoraSpec.from_config(cell.config.lora, cell.config.seed) for cell in cells]
    targets = resolve_targets(base.model.config, specs[0])
    adapters = LoraPack(targets, specs)
    table = TokenTable.from_memories(memories).to(base.device)
    runs = [
        CellRun(
            cell,
            memory,
            tracker.start(cell),
            total_steps,
            facts={
                "trainable_parameters": adapters.trainable_parameters(n),
                "scale": specs[n].scale,
                "adapted_layers": json.dumps(sorted({target.layer for target in targets})),
                "pack_size": len(cells),
                "device": str(base.device),
                "dtype": str(base.model.dtype).removeprefix("torch."),
                "model_fingerprint": base.fingerprint,
                "model_commit": getattr(base.model.config, "_commit_hash", None),
                "scored_tokens_per_step": memory.target_tokens * batch_rows / len(memory.pairs),
            },
            decode=lambda token_id: str(base.tokenizer.decode([token_id])),
        )
        for n, (cell, memory) in enumerate(members)
    ]
    order = RowOrder(table.pairs, tuple(cell.config.seed for cell in cells), batch_rows)
    epoch_steps = steps_per_epoch(max(table.pairs), batch_rows)
    evaluation = Evaluation(runs, config.stop, config.eval.per_decade, batch_rows, epoch_steps)
    try:
        with ExitStack() as stack:
            prefix = None
            first = min(target.layer for target in targets)
            if first > 0 and settings.trainer.prefix_cache:
                frozen = Prefix(base.model, first)
                prefix = CachedPrefix(frozen, table, batch_rows)
                stack.enter_context(frozen.replaced())
            stack.enter_context(adapters.attach(base.model))
            module = PackModule(base, adapters, table, prefix, config.optimizer, total_steps)
            _fit(module, order, evaluation, base.device)
    except Exception as error:  # what befalls these cells is theirs alone
        for run in evaluation.runs:
            run.fail(error)


def _fit(module: PackModule, order: RowOrder, evaluation: Evaluation, device: torch.device) -> None:
    from lightning import Trainer
    from lightning.pytorch.plugins.environments import LightningEnvironment
    from torch.utils.data import DataLoader

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    gpu = device.type == "cuda"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*_pytree.*|.*does not have many workers.*|.*srun.*")
        trainer = Trainer(
            accelerator="gpu" if gpu else "cpu",
            devices=[device.index or 0] if gpu else 1,
            max_steps=evaluation.total_steps,
            barebones=True,
            callbacks=[evaluation],
            plugins=[LightningEnvironment()],  # a pack is one process, also inside a SLURM job
        )
        trainer.fit(module, DataLoader(order, batch_size=None, pin_memory=gpu))
