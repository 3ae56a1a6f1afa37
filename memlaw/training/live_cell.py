"""A cell while it trains: its memory, its method, its history and its end."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from memlaw.adapters.spec import LoraSpec
from memlaw.core.errors import CellError
from memlaw.core.files import atomic_path, write_json
from memlaw.data.chat_template import FIXED_DATE
from memlaw.data.memory import Memory
from memlaw.methods.memft import Method
from memlaw.methods.schedule import Schedule
from memlaw.study import records
from memlaw.study.cell import Cell
from memlaw.study.status import DONE, PENDING, RUNNING
from memlaw.study.unintended_memorization import unintended_memorization
from memlaw.tracking.contents import Decode
from memlaw.tracking.tracker import CellTracker
from memlaw.training.checkpoint import Checkpoint, read_checkpoint, step_of
from memlaw.training.history import History
from memlaw.training.recall_record import Written, recall_record

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answers:
    """The answers of a finished cell; see `memlaw.training.asking`.

    Attributes:
        written: the tokens that it writes from its queries; None: it was not asked, or asking failed.
        side_effects: result columns of `memlaw.training.side_effects.SideEffects`; empty likewise.
    """

    written: Written | None = None
    side_effects: dict[str, Any] = field(default_factory=dict)


@dataclass
class LiveCell:
    """A cell that this process trains; the same object in every attempt, alone or in a pack.

    Attributes:
        cell: its config and its files.
        memory: the pairs to store.
        method: chooses the tokens to train on.
        spec: of its adapter.
        schedule: its steps.
        tracker: mirrors it.
        decode: turns a token id into text.
        facts: result columns known before training; see `memlaw.training.facts`.
        checkpoint: the start of this attempt; None: step 0.
        history: of this attempt and of the time before the checkpoint.
        ended: whether it is done or has failed.
    """

    cell: Cell
    memory: Memory
    method: Method
    spec: LoraSpec
    schedule: Schedule
    tracker: CellTracker
    decode: Decode
    facts: dict[str, Any] = field(default_factory=dict)
    checkpoint: Checkpoint | None = field(default=None, init=False)
    history: History = field(init=False)
    ended: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.history = History.of(self.memory, None)

    def saved_step(self) -> int:
        """Look up the step of its checkpoint; 0 without one."""
        return step_of(self.cell.paths.checkpoint)

    def begin(self, facts: dict[str, Any]) -> None:
        """Begin an attempt, from the checkpoint if there is one; forget the history of an earlier attempt."""
        self.facts = facts
        self.checkpoint = read_checkpoint(self.cell.paths.checkpoint)
        self.history = History.of(self.memory, self.checkpoint)
        if self.checkpoint is None:
            return
        for evaluated, curves in zip(self.history.tokens.evaluations, self.history.curves, strict=True):
            self.tracker.log(evaluated.step, curves, evaluated.nll_S)  # the run leaves out steps that it has already
        self.cell.set_status(RUNNING, step=self.checkpoint.step, total_steps=self.schedule.total_steps)
        log.info("%s continues from step %d", self.cell.name, self.checkpoint.step)

    def show_waiting(self) -> None:
        """Set the status of a cell that waits for a later attempt of this process, back at its start."""
        self.cell.set_status(RUNNING, step=0, total_steps=self.schedule.total_steps)

    def check_finite(self, evaluated: records.Evaluated) -> None:
        """Raise CellError when a loss is not finite, and remove the checkpoint: the cell must not continue from it."""
        step, tokens = evaluated.step, len(evaluated.nll_S)
        broken = int((~np.isfinite(evaluated.nll_S)).sum())
        if broken:
            self.cell.paths.checkpoint.unlink(missing_ok=True)
            advice = f"lower optimizer.lr={self.cell.config.optimizer.lr}" if step else "check precision and the model"
            raise CellError(f"diverged: {broken} of {tokens} losses are not finite after step {step}; {advice}")

    def is_recalled(self, evaluated: records.Evaluated) -> bool:
        """Check recall; return True when the cell may end.

        It may after `stop.patience` successive checks at which every target token has p > `stop.p_above`. With
        `method.all_recalled=stop` it may as soon as the method has no token left to train.
        """
        stop, p_S = self.cell.config.stop, np.exp(-evaluated.nll_S)
        if self.method.all_recalled == "stop" and self.method.threshold and (p_S >= self.method.threshold).all():
            return True
        above = bool((p_S > stop.p_above).all())
        self.history.recalled_checks = self.history.recalled_checks + 1 if above else 0
        return bool(stop.when_recalled) and self.history.recalled_checks >= stop.patience

    def record(self, evaluated: records.Evaluated, learning_rate: float) -> None:
        """Add an evaluation to the history, the status and the tracker."""
        self.history.tokens.add(evaluated)
        step, total, scalars = evaluated.step, self.schedule.total_steps, self.history.tokens.scalars()
        curves = {**scalars, "learning_rate": learning_rate, "tokens_per_second": self._speed(step) if step else None}
        self.history.curves.append(curves)
        self.tracker.log(step, curves, evaluated.nll_S)
        shown = {name: scalars[name] for name in ("loss_nats", "recalled_share")}
        self.cell.set_status(RUNNING, step=step, total_steps=total, **shown)
        log.info("%s  step %d/%d  loss %.4f nats", self.cell.name, step, total, scalars["loss_nats"])

    def _speed(self, step: int) -> float:
        """Scored tokens per second up to a step, counting the time before an interruption."""
        per_step = self.memory.target_tokens * self.schedule.batch_rows / len(self.memory.pairs)
        return per_step * step / self.history.seconds

    def save(self, step: int, tensors: dict[str, Any]) -> None:
        """Write the checkpoint of a step. If that fails, warn: the cell can finish without it.

        Args:
            step: optimizer steps taken.
            tensors: of the adapter and the method.
        """
        evaluations, progress = self.history.state()
        progress["data_fingerprint"] = self.memory.fingerprint
        progress["model_fingerprint"] = self.facts["model_fingerprint"]
        try:
            Checkpoint(step, tensors | evaluations, progress).write(self.cell.paths.checkpoint)
        except OSError as error:
            log.warning("%s: no checkpoint: %s", self.cell.name, error)

    def finish(self, stop_reason: str, export: Callable[[Path], None], answers: Answers) -> None:
        """Write tokens, recall, adapter and result, and only then the status done.

        Args:
            stop_reason: a value of the column `stop_reason`.
            export: writes the adapter to the directory given to it.
            answers: to the questions at its end.
        """
        paths, last = self.cell.paths, self.history.tokens.evaluations[-1]
        row = self._result(stop_reason) | answers.side_effects
        table = self.history.tokens.table()
        if answers.written:
            recalled = recall_record(self.memory, answers.written, np.exp(-last.nll_S), last.argmax_S)
            row |= {name: value for name, value in recalled.items() if name in records.RESULT_COLUMNS}
            write_json(paths.recall, recalled)
        else:
            paths.recall.unlink(missing_ok=True)  # what an earlier attempt left
        records.write_tokens(paths.tokens, table)
        records.write_texts(paths.texts, table, self.decode)
        with atomic_path(paths.adapter) as directory:
            export(directory)
        records.write_result(paths.result, row)
        self.cell.set_status(DONE, step=last.step, stop_reason=stop_reason)
        self.ended = True
        with suppress(OSError):  # the cell is done; a checkpoint that stays is never read
            paths.checkpoint.unlink(missing_ok=True)
        self.tracker.finish(self.cell, row, table, self.decode)
        log.info(
            "done %s  loss %.4f nats, delta %.4f, recalled %.1f %%, %s after %d steps",
            self.cell.name,
            row["loss_nats"],
            row["delta_loss_nats"],
            100 * row["recalled_share"],
            stop_reason,
            last.step,
        )

    def _result(self, stop_reason: str) -> dict[str, Any]:
        scalars, steps = self.history.tokens.scalars(), self.history.tokens.evaluations[-1].step
        delta_loss, loss, tokens = scalars["delta_loss_nats"], scalars["loss_nats"], self.memory.target_tokens
        assert delta_loss is not None and loss is not None
        return {
            "cell": self.cell.name,
            **self.cell.flat,
            **scalars,
            **records.capacity(
                delta_loss, tokens, self.facts["trainable_parameters"], self.facts["effective_parameters"]
            ),
            **unintended_memorization(
                self.memory.source_entropy_nats, loss, tokens, self.facts["trainable_parameters"]
            ),
            **self.facts,
            "pairs": len(self.memory.pairs),
            "target_tokens": tokens,
            "total_steps": self.schedule.total_steps,
            "steps_trained": steps,
            "stop_reason": stop_reason,
            "seconds": self.history.seconds,
            "worker_seconds": self.history.worker_seconds,
            "tokens_per_second": self._speed(steps),
            "data_fingerprint": self.memory.fingerprint,
            "prompt_date": FIXED_DATE,
        }

    def fail(self, error: BaseException) -> None:
        """Record the cause of the failure, without any result."""
        self.ended = True
        self.cell.fail(error)
        self.tracker.fail()

    def interrupt(self) -> None:
        """Set the status of a cell that another process will continue."""
        self.cell.set_status(PENDING)
        self.tracker.interrupt()
