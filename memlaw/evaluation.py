"""When a pack is evaluated, and what follows: recording, retiring recalled cells, failing diverged ones.

Evaluations are the only moments at which training waits for the device.
"""

from functools import partial
from typing import Any

import torch
from lightning import Callback, Trainer

from memlaw.cell_run import CellRun
from memlaw.module import PackModule
from memlaw.records import log_spaced_steps


class Evaluation(Callback):
    """Evaluates at log-spaced steps and the last, and checks for recall every `stop.every` steps.

    Args:
        runs: the cells of the pack, in the order of the module's.
        stop: `stop` of the config.
        per_decade: `eval.per_decade`.
        batch_rows: rows per cell in one forward.
        epoch_steps: steps that visit every pair once; a large table is not checked more often than that.
    """

    def __init__(self, runs: list[CellRun], stop: Any, per_decade: int, batch_rows: int, epoch_steps: int):
        self.runs = runs
        self.batch_rows = batch_rows
        self.total_steps = runs[0].total_steps
        self.recorded = set(log_spaced_steps(self.total_steps, per_decade))
        every = max(stop.every, epoch_steps)
        self.checked = set(range(0, self.total_steps, every)) if stop.when_recalled else set()
        self.evaluated = self.recorded | self.checked

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Record the base model: B is zero, so the adapters change nothing yet."""
        self._evaluate(pl_module, step=0)

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Evaluate when this step asks for it."""
        if trainer.global_step in self.evaluated:
            self._evaluate(pl_module, trainer.global_step)
            trainer.should_stop = not self.runs

    def _evaluate(self, module: PackModule, step: int) -> None:
        nll_NPL, argmax_NPL = (tensor.cpu() for tensor in module.evaluate(self.batch_rows))
        valid_NPL = module.table.valid_NPL.cpu()
        learning_rate = module.trainer.optimizers[0].param_groups[0]["lr"]
        kept = []
        for n, run in enumerate(self.runs):
            nll_S, argmax_S = nll_NPL[n][valid_NPL[n]].numpy(), argmax_NPL[n][valid_NPL[n]].numpy()
            try:
                run.check_finite(step, nll_S)
                stop_reason = "completed" if step == self.total_steps else None
                if step in self.checked and run.recalled(nll_S):
                    stop_reason = "recalled"
                if stop_reason or step in self.recorded:
                    run.record(step, nll_S, argmax_S, learning_rate)
                if stop_reason:
                    run.finish(stop_reason, partial(module.adapters.export, n))
                else:
                    kept.append(n)
            except Exception as error:  # a full disk, a diverged loss: this cell alone fails
                run.fail(error)
        if kept and len(kept) < len(self.runs):
            module.keep(torch.tensor(kept))
        self.runs = [self.runs[n] for n in kept]
