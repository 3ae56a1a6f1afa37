"""Whether the training loss still fell when training ended, from the logs beside a checkpoint."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from memlaw.study.layout import CellPaths
from memlaw.verification.subject import Subject

STATE = "trainer_state.json"
"""The log that transformers' Trainer writes into a checkpoint's directory."""

LOGGED, FALL = 6, 0.05
"""Fewest losses that show a trend; share of the loss that it must lose over the last third to count as falling."""


@dataclass(frozen=True)
class LossTrend:
    """The end of a training.

    Attributes:
        falling: whether the loss still fell over the last third.
        decayed: whether the learning rate went to a tenth or less, which flattens any loss.
        last: mean loss of the last third, nats.
        text: the losses, in words.
    """

    falling: bool
    decayed: bool
    last: float
    text: str

    @property
    def has_stopped(self) -> bool:
        """Whether the loss did not fall any more though the learning rate would have let it."""
        return not self.falling and not self.decayed


def loss_trend(subject: Subject) -> LossTrend | None:
    """Read how the training of a subject ended; None where no log lies beside it."""
    if subject.path is None:
        return None
    if subject.cell:
        return _of(_cell_losses(subject.cell.paths), True, "its evaluations")
    checkpoints = sorted(subject.path.glob("checkpoint-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for directory in (subject.path, *checkpoints, subject.path.parent):
        if (directory / STATE).is_file():
            return _of(*_trainer_losses(directory / STATE), STATE)
    return None


def _cell_losses(paths: CellPaths) -> list[float]:
    table = pd.read_parquet(paths.tokens, columns=["step", "nll"])
    return [float(value) for value in table.groupby("step")["nll"].mean().sort_index()]


def _trainer_losses(file: Path) -> tuple[list[float], bool]:
    """The losses, and whether the learning rate decayed."""
    try:
        log = [entry for entry in json.loads(file.read_text(encoding="utf-8"))["log_history"] if "loss" in entry]
        rates = [float(entry["learning_rate"]) for entry in log if "learning_rate" in entry]
        return [float(entry["loss"]) for entry in log], bool(rates) and rates[-1] <= 0.1 * max(rates)
    except (KeyError, OSError, TypeError, ValueError):
        return [], False


def _of(losses: Sequence[float], decayed: bool, source: str) -> LossTrend | None:
    if len(losses) < LOGGED:
        return None
    third = len(losses) // 3
    before, last = float(np.mean(losses[-2 * third : -third])), float(np.mean(losses[-third:]))
    falling = last < (1 - FALL) * before
    text = f"the training loss went from {before:.3g} to {last:.3g} in its last third ({source})"
    if decayed:
        text += "; its learning rate decayed, which flattens any loss"
    return LossTrend(falling, decayed, last, text)
