"""One training loop over cells of equal shape: adapters attached, prefix cached, Lightning run, adapters off again."""

import json
import logging
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from lightning import Callback
from omegaconf import DictConfig

from memlaw.base_model import BaseModel
from memlaw.cell import Cell
from memlaw.cell_run import CellRun
from memlaw.checkpoint import read_checkpoint
from memlaw.checkpointing import Checkpointing
from memlaw.cost import step_flops
from memlaw.data.memory import Memory
from memlaw.data.tokens import RowOrder, TokenTable, steps_per_epoch
from memlaw.evaluation import Evaluation
from memlaw.forgetting import SideEffects, held_out_text
from memlaw.lora import LoraPack
from memlaw.lora_spec import LoraSpec
from memlaw.memft import Method
from memlaw.model_shape import ModelShape
from memlaw.module import PackModule
from memlaw.preemption import Signals
from memlaw.prefix import Prefix
from memlaw.prefix_cache import PrefixCache, cache_budget_bytes, cache_prefix
from memlaw.recall import Recaller
from memlaw.sizes import sizes_of
from memlaw.soundness import refuse_unsound
from memlaw.targets import Target, module_names, resolve_targets
from memlaw.tracking.tracker import CellTracker
from memlaw.weighting import Weighting


@dataclass(frozen=True)
class Member:
    """A cell with its memory, its method, its loop's shape and its mirror."""

    cell: Cell
    memory: Memory
    method: Method
    batch_rows: int
    total_steps: int
    tracker: CellTracker


def fit(members: Sequence[Member], base: BaseModel, settings: DictConfig) -> None:
    """Train cells with the same `batch_rows` and `total_steps` together; finished ones are on disk.

    A signal that ends the process takes effect when the cells' checkpoints are written.

    Args:
        members: the cells, all with a checkpoint of the same step or none of them with any.
        base: their base model, as it was and as it is left.
        settings: `trainer` and `checkpoint` of the config.

    Raises:
        Exception: whatever stops the loop; cells that are not done yet have then recorded nothing.
    """
    first = members[0]
    c = first.cell.config
    specs = [LoraSpec.from_config(member.cell.config.lora, member.cell.config.seed) for member in members]
    targets = resolve_targets(base.model.config, specs[0])
    refuse_unsound(base.model, targets, specs[0].placement)
    adapters = LoraPack(targets, specs)
    table = TokenTable.from_memories([member.memory for member in members]).to(base.device)
    prefix = _prefix(base, targets, table, first.batch_rows, settings.trainer.prefix_cache_gb)
    cached = prefix.extent if prefix else "none"
    shared = {
        "adapted_modules": json.dumps(module_names(targets)),
        "adapted_layers": json.dumps(sorted({target.layer for target in targets})),
        "base_parameters": base.model.num_parameters(),
        "pack_size": len(members),
        "prefix_cached": cached,
        "device": str(base.device),
        "dtype": str(base.model.dtype).removeprefix("torch."),
        "model_fingerprint": base.fingerprint,
        "model_commit": getattr(base.model.config, "_commit_hash", None),
    }
    row_tokens = table.input_ids_NPT.shape[2]
    shape = max(table.pairs), row_tokens
    model, value_bytes = ModelShape.of(base.model, targets), base.model.dtype.itemsize
    sizes = [
        sizes_of(member.cell, shape=shape, model=model, targets=targets, value_bytes=value_bytes, cached=cached)
        for member in members
    ]
    runs = [
        _run(member, base, adapters, n, {**shared, "step_flops": step_flops(sizes[n])})
        for n, member in enumerate(members)
    ]
    checkpoints = [found for member in members if (found := read_checkpoint(member.cell.paths.checkpoint))]
    for run, checkpoint in zip(runs, checkpoints, strict=bool(checkpoints)):
        run.restore(checkpoint)
    start_step = checkpoints[0].step if checkpoints else 0
    seeds = tuple(member.cell.config.seed for member in members)
    curricula = tuple(member.method.curriculum for member in members)
    order = RowOrder(table.pairs, seeds, curricula, first.batch_rows, start_step)
    weighting = Weighting([member.method for member in members], max(table.pairs))
    epoch_steps = steps_per_epoch(max(table.pairs), first.batch_rows)
    how = c.eval.recall
    frozen = prefix.prefix if prefix else None
    recaller = Recaller(base.model, adapters, frozen, row_tokens, how.temperature, how.repeats) if how.greedy else None
    text = held_out_text(c.eval.side_effects, c.eval.side_effects_content)
    side_effects = SideEffects(base, adapters, frozen, text) if text else None
    evaluation = Evaluation(runs, c.stop, c.eval.per_decade, first.batch_rows, epoch_steps, recaller, side_effects)
    signals = Signals()
    checkpointing = Checkpointing(evaluation, checkpoints, settings.checkpoint.every_min, signals)
    with ExitStack() as stack:
        stack.enter_context(signals.held())
        if prefix:
            stack.enter_context(prefix.prefix.replaced())
        stack.enter_context(adapters.attach(base.model))
        module = PackModule(base, adapters, table, prefix, weighting, c.optimizer, first.total_steps, start_step)
        _loop(module, order, [evaluation, checkpointing], first.total_steps - start_step)
    signals.deliver()


def _prefix(
    base: BaseModel, targets: Sequence[Target], table: TokenTable, batch_rows: int, budget_gb: str | float
) -> PrefixCache | None:
    lowest = min(target.layer for target in targets)
    if lowest == 0:
        return None
    prefix = Prefix(base.model, lowest, [target.name for target in targets])
    return cache_prefix(prefix, table, batch_rows, cache_budget_bytes(budget_gb, base.device))


def _run(member: Member, base: BaseModel, adapters: LoraPack, n: int, shared: dict[str, Any]) -> CellRun:
    own = {
        "trainable_parameters": adapters.trainable_parameters(n),
        "scale": adapters.specs[n].scale,
        "scored_tokens_per_step": member.memory.target_tokens * member.batch_rows / len(member.memory.pairs),
    }
    return CellRun(
        member.cell,
        member.memory,
        member.tracker,
        member.total_steps,
        member.method,
        facts={**own, **shared},
        decode=lambda token_id: str(base.tokenizer.decode([token_id])),
    )


def _loop(module: PackModule, order: RowOrder, callbacks: list[Callback], steps: int) -> None:
    from lightning import Trainer
    from lightning.pytorch.plugins.environments import LightningEnvironment
    from torch.utils.data import DataLoader

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    device = module.table.input_ids_NPT.device
    gpu = device.type == "cuda"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*_pytree.*|.*does not have many workers.*|.*srun.*")
        trainer = Trainer(
            accelerator="gpu" if gpu else "cpu",
            devices=[device.index or 0] if gpu else 1,
            max_steps=steps,
            barebones=True,
            callbacks=callbacks,
            plugins=[LightningEnvironment()],  # a pack is one process, also inside a SLURM job
        )
        trainer.fit(module, DataLoader(order, batch_size=None, pin_memory=gpu))
