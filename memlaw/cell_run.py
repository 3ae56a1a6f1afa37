"""One cell while it trains: its evaluations, its progress on disk, and its outcome."""

import importlib.metadata
import logging
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

import memlaw
from memlaw import records
from memlaw.cell import Cell
from memlaw.checkpoint import Checkpoint
from memlaw.data.memory import Memory
from memlaw.data.prompt import FIXED_DATE
from memlaw.errors import CellError
from memlaw.files import atomic_path, write_json
from memlaw.memft import Method
from memlaw.recall import Written, recall_record
from memlaw.status_file import DONE, RUNNING
from memlaw.tracking.contents import Decode
from memlaw.tracking.tracker import CellTracker

log = logging.getLogger(__name__)

_VERSIONED = ("torch", "lightning", "transformers", "peft", "numpy", "faker")


def versions() -> dict[str, str]:
    """Versions that the numbers may depend on, as result columns."""
    own = {"version.python": platform.python_version(), "version.memlaw": memlaw.__version__}
    return own | {f"version.{name}": importlib.metadata.version(name) for name in _VERSIONED}


@dataclass
class CellRun:
    """Takes a cell's evaluations and writes its records.

    Attributes:
        method: its training method.
        facts: result columns known before training (`trainable_parameters`, `device`, …).
        export: writes the adapter to the directory given to it.
        decode: a token id's text.
        worker_seconds: the cell's share of its worker's time so far.
        curves: scalars of each recorded evaluation (`memlaw.tracking.contents.CURVES`).
        versions: result columns, looked up before training, so that what cannot be told costs no trained cell.
    """

    cell: Cell
    memory: Memory
    tracker: CellTracker
    total_steps: int
    method: Method
    facts: dict[str, Any]
    decode: Decode
    recalled_checks: int = 0
    worker_seconds: float = 0.0
    curves: list[dict[str, Any]] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    versions: dict[str, str] = field(default_factory=versions)

    def __post_init__(self) -> None:
        pairs = self.memory.pairs
        lengths = [len(pair.target_ids) for pair in pairs]
        self.tokens = records.TokenLog(
            np.repeat(np.arange(len(pairs)), lengths),
            np.concatenate([np.arange(length) for length in lengths]),
            np.concatenate([pair.target_ids for pair in pairs]),
        )

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """What a checkpoint keeps of it: the evaluations so far as tensors, and small values."""
        columns = zip(records.Evaluated._fields, zip(*self.tokens.evaluations, strict=True), strict=True)
        tensors = {f"evaluations.{name}": torch.from_numpy(np.stack(values)) for name, values in columns}
        return tensors, {
            "curves": self.curves,
            "recalled_checks": self.recalled_checks,
            "worker_seconds": self.worker_seconds,
            "seconds": time.monotonic() - self.started,
            "data_fingerprint": self.memory.fingerprint,
            "model_fingerprint": self.facts["model_fingerprint"],
        }

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of the same base model and memory."""
        part = {name: value.numpy() for name, value in checkpoint.part("evaluations").items()}
        for step, *values_S in zip(*(part[name] for name in records.Evaluated._fields), strict=True):
            self.tokens.add(records.Evaluated(int(step), *values_S))
        self.curves = checkpoint.progress["curves"]
        for evaluated, curves in zip(self.tokens.evaluations, self.curves, strict=True):
            self.tracker.log(evaluated.step, curves, evaluated.nll_S)  # a mirror leaves out what it holds already
        self.recalled_checks = checkpoint.progress["recalled_checks"]
        self.worker_seconds = checkpoint.progress["worker_seconds"]
        self.started -= checkpoint.progress["seconds"]
        self.cell.set_status(RUNNING, step=checkpoint.step, total_steps=self.total_steps)
        log.info("%s goes on from step %d", self.cell.name, checkpoint.step)

    def check_finite(self, evaluated: records.Evaluated) -> None:
        """Raise CellError when a loss is not finite; such a cell must not go on from where it is."""
        step, tokens = evaluated.step, len(evaluated.nll_S)
        broken = int((~np.isfinite(evaluated.nll_S)).sum())
        if broken:
            self.cell.paths.checkpoint.unlink(missing_ok=True)
            advice = f"lower optimizer.lr={self.cell.config.optimizer.lr}" if step else "check precision and the model"
            raise CellError(f"diverged: {broken} of {tokens} losses are not finite after step {step}; {advice}")

    def record(self, evaluated: records.Evaluated, learning_rate: float) -> None:
        """Take an evaluation: add it to the table, the status and the tracker."""
        self.tokens.add(evaluated)
        step, scalars = evaluated.step, self.tokens.scalars()
        self.curves.append({**scalars, "learning_rate": learning_rate, "tokens_per_second": self._speed(step)})
        self.tracker.log(step, self.curves[-1], evaluated.nll_S)
        self.cell.set_status(
            RUNNING,
            step=step,
            total_steps=self.total_steps,
            loss_nats=scalars["loss_nats"],
            recalled_share=scalars["recalled_share"],
        )
        log.info("%s  step %d/%d  loss %.4f nats", self.cell.name, step, self.total_steps, scalars["loss_nats"])

    def _speed(self, step: int) -> float | None:
        """Scored tokens per second since the start, what came before an interruption included."""
        return self.facts["scored_tokens_per_step"] * step / (time.monotonic() - self.started) if step else None

    def recalled(self, evaluated: records.Evaluated) -> bool:
        """Count checks in a row at which every target token has p > `stop.p_above`; True at `stop.patience`.

        At once where the method has nothing left to train and ends then (`method.all_recalled=stop`).
        """
        stop, p_S = self.cell.config.stop, np.exp(-evaluated.nll_S)
        if self.method.all_recalled == "stop" and self.method.threshold and (p_S >= self.method.threshold).all():
            return True
        above = bool((p_S > stop.p_above).all())
        self.recalled_checks = self.recalled_checks + 1 if above else 0
        return bool(stop.when_recalled) and self.recalled_checks >= stop.patience

    def finish(
        self, stop_reason: str, export: Callable[[Any], None], written: Written | None, effects: dict[str, Any]
    ) -> None:
        """Write tokens, recall, adapter and result, and only then the status done.

        Args:
            stop_reason: why it ended.
            export: writes the adapter to the directory given to it.
            written: what the cell writes from the query alone, if it was asked.
            effects: result columns of `memlaw.forgetting.SideEffects`, if it was asked.
        """
        last = self.tokens.evaluations[-1]
        seconds = time.monotonic() - self.started
        scalars = self.tokens.scalars()
        delta_loss, tokens = scalars["delta_loss_nats"], self.memory.target_tokens
        assert delta_loss is not None
        row = {
            "cell": self.cell.name,
            **self.cell.flat,
            **scalars,
            **records.capacity(delta_loss, tokens, self.facts["trainable_parameters"]),
            **self.facts,
            "pairs": len(self.memory.pairs),
            "target_tokens": tokens,
            "total_steps": self.total_steps,
            "steps_trained": last.step,
            "stop_reason": stop_reason,
            "seconds": seconds,
            "worker_seconds": self.worker_seconds,
            "tokens_per_second": self.facts["scored_tokens_per_step"] * last.step / seconds,
            "data_fingerprint": self.memory.fingerprint,
            "prompt_date": FIXED_DATE,
            **effects,
            **self.versions,
        }
        del row["scored_tokens_per_step"]
        paths = self.cell.paths
        table = self.tokens.table()
        if written:
            recalled = recall_record(self.memory, written, np.exp(-last.nll_S), last.argmax_S)
            row |= {name: value for name, value in recalled.items() if name in records.RESULT_COLUMNS}
            write_json(paths.recall, recalled)
        records.write_tokens(paths.tokens, table)
        with atomic_path(paths.adapter) as directory:
            export(directory)
        records.write_result(paths.result, row)
        self.cell.set_status(DONE, step=last.step, stop_reason=stop_reason)
        paths.checkpoint.unlink(missing_ok=True)
        self.tracker.finish(self.cell, row, table, self.decode)
        log.info(
            "done %s  loss %.4f nats, delta %.4f, recalled %.1f %%, %s after %d steps",
            self.cell.name,
            row["loss_nats"],
            delta_loss,
            100 * row["recalled_share"],
            stop_reason,
            last.step,
        )

    def fail(self, error: BaseException) -> None:
        """The cell failed; nothing of it is recorded but the cause."""
        self.cell.fail(error)
        self.tracker.fail()
