"""Writes the checkpoints of a pack: every few minutes, and before a signal ends training."""

import time

import torch

from memlaw.training.live_pack import LivePack


class Checkpoints:
    """Writes the checkpoints of a pack's cells between two steps.

    Args:
        every_min: minutes between checkpoints; None: they are never due.
    """

    def __init__(self, every_min: float | None):
        self._every_s = float("inf") if every_min is None else 60 * every_min
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the time between two checkpoints has passed."""
        return time.monotonic() - self._written >= self._every_s

    def write(self, pack: LivePack, step: int, optimizer: torch.optim.Optimizer) -> None:
        """Write the checkpoint of each cell after `step` optimizer steps."""
        for n, live in enumerate(pack.cells):
            live.save(step, pack.state(n, optimizer))
        self._written = time.monotonic()
