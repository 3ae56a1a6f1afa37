"""Evaluates, saves, ends and drops the live cells of a pack around its steps."""

from functools import partial
from typing import Any

from lightning import Callback, Trainer

from memlaw.planning.timetable import Timetable
from memlaw.study.records import Evaluated
from memlaw.tracking.tracker import Tracker
from memlaw.training.asking import Questions
from memlaw.training.checkpointing import Checkpoints
from memlaw.training.evaluation import Measured, evaluated_cells, measure, measured_by
from memlaw.training.live_cell import LiveCell
from memlaw.training.live_pack import LivePack
from memlaw.training.module import PackModule
from memlaw.training.pack_clock import PackClock
from memlaw.training.signals import Signals


class PackLoop(Callback):
    """Owns the live cells of a pack while it trains.

    A cell that ends stays in the pack until its step is over, because the step's gradients are laid out for all cells.
    Then `LivePack.keep` drops it everywhere at once.

    Args:
        pack: the cells.
        timetable: of their evaluations.
        questions: to cells that end.
        checkpoints: writes their checkpoints.
        signals: deferred while the loop runs.
        tracker: mirrors the cells.
    """

    def __init__(
        self,
        pack: LivePack,
        *,
        timetable: Timetable,
        questions: Questions,
        checkpoints: Checkpoints,
        signals: Signals,
        tracker: Tracker,
    ):
        self.pack = pack
        self.timetable = timetable
        self.questions = questions
        self.checkpoints = checkpoints
        self.signals = signals
        self.tracker = tracker
        self._clock = PackClock()

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Restore the cells, and install the signal handlers again: Lightning has just replaced that of SIGTERM."""
        self.pack.restore(trainer.optimizers[0])
        self.signals.install()

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Evaluate before the step's forward, if that sees only some of the pairs or drops values."""
        if pl_module.steps_taken in self.timetable and not self.timetable.step_evaluates:
            self._evaluate(trainer, pl_module, measure(pl_module, self.timetable.batch_rows))

    def on_before_backward(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Evaluate from the step's forward, if that saw all pairs and dropped nothing."""
        if pl_module.steps_taken in self.timetable and self.timetable.step_evaluates:
            self._evaluate(trainer, pl_module, measured_by(pl_module.last_forward))

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any, **__: Any) -> None:
        """Drop the cells that ended, evaluate after the last step, write checkpoints, and handle signals."""
        self._drop_ended(trainer)
        if self.pack.cells and pl_module.steps_taken == self.timetable.total_steps:
            self._evaluate(trainer, pl_module, measure(pl_module, self.timetable.batch_rows))
            self._drop_ended(trainer)
        if self.checkpoints.due or self.signals:
            self.checkpoints.write(self.pack, pl_module.steps_taken, trainer.optimizers[0])
        if self.signals:
            self._interrupt(trainer)
        trainer.should_stop = trainer.should_stop or not self.pack.cells

    def _drop_ended(self, trainer: Trainer) -> None:
        kept = [n for n, live in enumerate(self.pack.cells) if not live.ended]
        if len(kept) < len(self.pack.cells):
            self.pack.keep(kept, trainer.optimizers[0])

    def _evaluate(self, trainer: Trainer, module: PackModule, measured: Measured) -> None:
        """Record a measurement, and end the cells that are done, recalled or diverged."""
        cells, step = self.pack.cells, module.steps_taken
        evaluations = evaluated_cells(measured, self.pack.table.valid_NPL, step)
        learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self._clock.share([live.history for live in cells])
        reasons: dict[int, str] = {}
        for n, (live, evaluated) in enumerate(zip(cells, evaluations, strict=True)):
            try:
                if reason := self._take(live, evaluated, learning_rate):
                    reasons[n] = reason
            except Exception as error:  # a full disk, a diverged loss: fail this cell only; the others go on
                live.fail(error)
        answers = self.questions.ask({n: cells[n] for n in reasons})
        self._clock.leave_out([live.history for live in cells])
        for n, reason in reasons.items():
            try:
                cells[n].finish(reason, partial(self.pack.adapters.export, n), answers[n])
            except Exception as error:  # fail this cell only
                cells[n].fail(error)

    def _take(self, live: LiveCell, evaluated: Evaluated, learning_rate: float) -> str | None:
        """Check and record a cell's evaluation; return the reason to end the cell, or None."""
        step, reason = evaluated.step, None
        live.check_finite(evaluated)
        if step == self.timetable.total_steps:
            reason = "completed"
        if step in self.timetable.checked and live.is_recalled(evaluated):
            reason = "recalled"
        if reason or step in self.timetable.recorded:
            live.record(evaluated, learning_rate)
        return reason

    def _interrupt(self, trainer: Trainer) -> None:
        """Call the previous handlers of the signals; stop training unless they handled all. A handler may exit."""
        ends = True
        try:
            ends = self.signals.pass_on()
        finally:
            if ends:
                for live in self.pack.cells:
                    live.interrupt()
                self.tracker.settle()
        trainer.should_stop = ends or trainer.should_stop
