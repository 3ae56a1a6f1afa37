"""A cell's history of training: its evaluations, recall checks and clocks."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from memlaw.data.memory import Memory
from memlaw.study.records import Evaluated, TokenLog
from memlaw.training.checkpoint import Checkpoint


@dataclass
class History:
    """A cell's history so far; a checkpoint stores it beside the adapter.

    Attributes:
        tokens: the recorded evaluations.
        curves: scalars of each of them (`memlaw.tracking.contents.CURVES`).
        recalled_checks: number of latest checks in succession at which every target token was recalled.
        worker_seconds: the cell's share of its worker's time.
        started: start of training by the monotonic clock, seconds. The time before an interruption moves it back,
            pauses move it forward.
    """

    tokens: TokenLog
    curves: list[dict[str, Any]] = field(default_factory=list)
    recalled_checks: int = 0
    worker_seconds: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, memory: Memory, checkpoint: Checkpoint | None) -> "History":
        """Begin a history, or continue that of a checkpoint of the same memory."""
        lengths = [len(pair.target_ids) for pair in memory.pairs]
        tokens = TokenLog(
            np.repeat(np.arange(len(lengths)), lengths),
            np.concatenate([np.arange(length) for length in lengths]),
            np.concatenate([pair.target_ids for pair in memory.pairs]),
        )
        if checkpoint is None:
            return cls(tokens)
        columns = {name: value.numpy() for name, value in checkpoint.part("evaluations").items()}
        for step, *values_S in zip(*(columns[name] for name in Evaluated._fields), strict=True):
            tokens.add(Evaluated(int(step), *values_S))
        progress = checkpoint.progress
        started = time.monotonic() - progress["seconds"]
        return cls(tokens, progress["curves"], progress["recalled_checks"], progress["worker_seconds"], started)

    @property
    def seconds(self) -> float:
        """Training time so far, seconds."""
        return time.monotonic() - self.started

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return the content of a checkpoint: the evaluations as tensors, and small values."""
        columns = zip(Evaluated._fields, zip(*self.tokens.evaluations, strict=True), strict=True)
        tensors = {f"evaluations.{name}": torch.from_numpy(np.stack(values)) for name, values in columns}
        return tensors, {
            "curves": self.curves,
            "recalled_checks": self.recalled_checks,
            "worker_seconds": self.worker_seconds,
            "seconds": self.seconds,
        }
