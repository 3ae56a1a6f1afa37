"""When a pack is evaluated, and what follows: recording, retiring recalled cells, failing diverged ones.

Evaluations are the only moments at which training waits for the device. Where a batch holds all pairs, the
forward of step s+1 is the evaluation after s steps, so it costs nothing.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import torch
from lightning import Callback, Trainer

from memlaw.cell_run import CellRun
from memlaw.forgetting import SideEffects
from memlaw.module import PackModule
from memlaw.recall import Recaller, Written
from memlaw.records import Evaluated, log_spaced_steps
from memlaw.token_loss import TokenLosses

log = logging.getLogger(__name__)

T = TypeVar("T")


class Evaluation(Callback):
    """Evaluates at log-spaced steps and the last, and checks for recall every `stop.every` steps.

    Args:
        runs: the cells of the pack, in the order of the module's.
        stop: `stop` of the config.
        per_decade: `eval.per_decade`.
        batch_rows: rows per cell in one forward.
        recaller: lets finished cells write their memories; None does not.
        side_effects: scores finished cells on a held-out text; None does not.
        epoch_steps: steps that visit every pair once; a large table is not checked more often than that.
    """

    def __init__(
        self,
        runs: list[CellRun],
        stop: Any,
        per_decade: int,
        batch_rows: int,
        epoch_steps: int,
        recaller: Recaller | None,
        side_effects: SideEffects | None,
    ):
        self.runs = runs
        self.recaller = recaller
        self.side_effects = side_effects
        self.batch_rows = batch_rows
        self.total_steps = runs[0].total_steps
        self.recorded = set(log_spaced_steps(self.total_steps, per_decade))
        every = max(stop.every, epoch_steps)
        may_end = stop.when_recalled or any(run.method.all_recalled == "stop" for run in runs)
        self.checked = set(range(0, self.total_steps, every)) if may_end else set()
        self.evaluated = self.recorded | self.checked
        self._batch_holds_all = epoch_steps == 1
        self._kept: list[int] = []
        self._clock = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Evaluate before the step's own forward when that sees only some of the pairs."""
        if pl_module.steps_taken in self.evaluated and not self._batch_holds_all:
            self._evaluate(pl_module)

    def on_before_backward(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Evaluate from the step's own forward when that saw all pairs."""
        if pl_module.steps_taken in self.evaluated and self._batch_holds_all:
            self._take(pl_module, pl_module.steps_taken, *pl_module.training_losses())

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Drop the cells that ended before this step; after the last step evaluate once more."""
        if self._kept:
            pl_module.keep(torch.tensor(self._kept))
            self._kept = []
        if self.runs and pl_module.steps_taken == self.total_steps:
            self._evaluate(pl_module)
        trainer.should_stop = not self.runs

    def _evaluate(self, module: PackModule) -> None:
        losses = module.evaluate(self.batch_rows)
        self._take(module, module.steps_taken, losses, module.weights(losses))

    def _take(self, module: PackModule, step: int, losses: TokenLosses, weight_NPL: torch.Tensor) -> None:
        values = [value_NPL.cpu() for value_NPL in (*losses, weight_NPL)]
        valid_NPL = module.table.valid_NPL.cpu()
        learning_rate = float(module.trainer.optimizers[0].param_groups[0]["lr"])
        self._share_time()
        kept, ending = [], []
        for n, run in enumerate(self.runs):
            evaluated = Evaluated(step, *(value_NPL[n][valid_NPL[n]].numpy() for value_NPL in values))
            try:
                run.check_finite(evaluated)
                stop_reason = "completed" if step == self.total_steps else None
                if step in self.checked and run.recalled(evaluated):
                    stop_reason = "recalled"
                if stop_reason or step in self.recorded:
                    run.record(evaluated, learning_rate)
                if stop_reason:
                    ending.append((n, stop_reason))
                else:
                    kept.append(n)
            except Exception as error:  # a full disk, a diverged loss: this cell alone fails
                run.fail(error)
        ended = [n for n, _ in ending]
        written, effects = (
            self._asked(self._written if self.recaller else None, ended),
            self._asked(self.side_effects, ended),
        )
        self._leave_out_time()
        for n, stop_reason in ending:
            try:
                self.runs[n].finish(stop_reason, partial(module.adapters.export, n), written.get(n), effects.get(n, {}))
            except Exception as error:  # again this cell's alone
                self.runs[n].fail(error)
        if len(kept) < len(self.runs):
            self._kept = kept
        self.runs = [self.runs[n] for n in kept]

    def _asked(self, ask: Callable[[list[int]], Sequence[T]] | None, cells: list[int]) -> dict[int, T]:
        """What finished cells answer; where they cannot be asked together, one by one. No trained cell is lost."""
        if not ask or not cells:
            return {}
        try:
            return dict(zip(cells, ask(cells), strict=True))
        except Exception as error:  # such as a lack of memory for decoding
            if len(cells) == 1:
                log.warning("%s ends without it: %s: %s", self.runs[cells[0]].cell.name, type(error).__name__, error)
                return {}
        return {n: answer for cell in cells for n, answer in self._asked(ask, [cell]).items()}

    def _written(self, cells: list[int]) -> Sequence[Written]:
        assert self.recaller
        return self.recaller(cells, [self.runs[n].memory for n in cells])

    def _leave_out_time(self) -> None:
        """No cell's training time holds what finished ones were asked."""
        now = time.monotonic()
        for run in self.runs:
            run.started += now - self._clock
        self._clock = now

    def _share_time(self) -> None:
        now = time.monotonic()
        for run in self.runs:
            run.worker_seconds += (now - self._clock) / len(self.runs)
        self._clock = now
