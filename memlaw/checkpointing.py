"""When a pack's checkpoints are written and read: every few minutes, and at a signal that ends training."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from lightning import Callback, Trainer

from memlaw.checkpoint import Checkpoint
from memlaw.evaluation import Evaluation
from memlaw.preemption import Signals
from memlaw.status_file import PENDING

log = logging.getLogger(__name__)


class Checkpointing(Callback):
    """Writes each unfinished cell's own checkpoint between two steps, after `Evaluation` has done its part.

    Args:
        evaluation: knows the cells that are still training.
        checkpoints: where the cells go on from, in their order; empty when they start.
        every_min: minutes between checkpoints; None writes them at signals alone.
        signals: held while the loop runs.
    """

    def __init__(
        self, evaluation: Evaluation, checkpoints: Sequence[Checkpoint], every_min: float | None, signals: Signals
    ):
        self.evaluation = evaluation
        self.checkpoints = checkpoints
        self.every_s = float("inf") if every_min is None else 60 * every_min
        self.signals = signals
        self._written = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Put the cells where they were; take the signals back from Lightning, which has just claimed SIGTERM."""
        if self.checkpoints:
            pl_module.restore(self.checkpoints)
        self.signals.install()

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Write checkpoints when they are due; after a signal end training, or let the one who sent it."""
        if time.monotonic() - self._written >= self.every_s or self.signals:
            self._write(pl_module)
            self._written = time.monotonic()
        if self.signals:
            self._end(trainer)

    def _end(self, trainer: Trainer) -> None:
        """Let whoever else waits for the signals have them; SLURM's requeues the job and exits here."""
        ends = True
        try:
            ends = self.signals.pass_on()
        finally:
            if ends:
                for run in self.evaluation.runs:
                    run.cell.set_status(PENDING)
                for run in self.evaluation.runs:
                    run.tracker.interrupt()
                for run in self.evaluation.runs[-1:]:
                    run.tracker.settle()
        trainer.should_stop = ends or trainer.should_stop

    def _write(self, module: Any) -> None:
        for n, run in enumerate(self.evaluation.runs):
            tensors, progress = run.state()
            try:
                Checkpoint(module.steps_taken, {**module.state(n), **tensors}, progress).write(
                    run.cell.paths.checkpoint
                )
            except OSError as error:  # a full disk: the cell can still finish without
                log.warning("%s: no checkpoint: %s", run.cell.name, error)
