"""Runs one training loop over cells of equal schedules: build the pack, attach it, run Lightning, detach it."""

import logging
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from lightning import Trainer
from lightning.pytorch.plugins.environments import LightningEnvironment
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from memlaw.adapters.targets import resolve_targets
from memlaw.data.held_out import held_out_text
from memlaw.models.base import BaseModel
from memlaw.planning.soundness import refuse_unsound
from memlaw.planning.timetable import Timetable
from memlaw.tracking.tracker import Tracker
from memlaw.training.asking import Questions
from memlaw.training.checkpointing import Checkpoints
from memlaw.training.facts import pack_facts
from memlaw.training.live_cell import LiveCell
from memlaw.training.live_pack import LivePack
from memlaw.training.module import PackModule
from memlaw.training.pack_loop import PackLoop
from memlaw.training.recall import Recaller
from memlaw.training.side_effects import SideEffects
from memlaw.training.signals import Signals
from memlaw.training.whole_model import WholeModel


def fit(cells: Sequence[LiveCell], base: BaseModel, settings: DictConfig, tracker: Tracker) -> None:
    """Train cells of equal schedules together, and write those that finish to disk.

    A signal that ends the process takes effect after the cells' checkpoints are written.

    Args:
        cells: the cells, all with a checkpoint of the same step, or all without one.
        base: their base model, without adapters; it is restored at the end.
        settings: `trainer` and `checkpoint` of the config.
        tracker: mirrors the cells.

    Raises:
        Exception: any error of the loop; cells that have not ended then have no result.
    """
    c, spec = cells[0].cell.config, cells[0].spec
    targets = resolve_targets(base.model, spec)
    refuse_unsound(base.model, targets, spec.placement)
    pack = LivePack.build(cells, base, targets, settings.trainer.prefix_cache_gb)
    methods = [live.method for live in cells]
    timetable = Timetable.of(cells[0].schedule, c, pairs=max(pack.table.pairs), methods=methods)
    for live, facts in zip(cells, pack_facts(pack, base, targets, timetable), strict=True):
        live.begin(facts)
    signals = Signals()
    loop = PackLoop(
        pack,
        timetable=timetable,
        questions=_questions(pack, base, c.eval),
        checkpoints=Checkpoints(settings.checkpoint.every_min),
        signals=signals,
        tracker=tracker,
    )
    with ExitStack() as stack:
        stack.enter_context(signals.deferred())
        stack.enter_context(pack.attached(base))
        _run(PackModule(base, pack, optimizer=c.optimizer), loop)
    signals.deliver()


def _questions(pack: LivePack, base: BaseModel, config: Any) -> Questions:
    """Prepare the questions of `conf/eval` to cells that end."""
    whole = WholeModel(base.model, pack.adapters, pack.frozen)
    sampling = {"temperature": config.recall.temperature, "repeats": config.recall.repeats}
    recaller = Recaller(whole, row_tokens=pack.table.row_tokens, **sampling) if config.recall.greedy else None
    text = held_out_text(config.side_effects, config.side_effects_content)
    return Questions(recaller, SideEffects(whole, base.tokenizer, text) if text else None)


def _run(module: PackModule, loop: PackLoop) -> None:
    """Train with Lightning on the device of the pack."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    pack, device = module.pack, module.pack.table.input_ids_NPT.device
    gpu = device.type == "cuda"
    with warnings.catch_warnings():
        harmless = ("_pytree", "does not have many workers", "srun", "has `__len__` defined")
        warnings.filterwarnings("ignore", message=f".*({'|'.join(harmless)}).*")
        trainer = Trainer(
            accelerator="gpu" if gpu else "cpu",
            devices=[device.index or 0] if gpu else 1,
            max_steps=len(pack.steps),
            barebones=True,
            callbacks=[loop],
            plugins=[LightningEnvironment()],  # a pack is one process, also inside a SLURM job
        )
        trainer.fit(module, DataLoader(pack.order, batch_size=None, pin_memory=gpu))
