"""Divides the training time of a pack among its cells."""

import time
from collections.abc import Sequence

from memlaw.training.history import History


class PackClock:
    """Measures the time since its latest call, or since its construction."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def share(self, histories: Sequence[History]) -> None:
        """Add the time to the worker seconds of the cells, in equal parts."""
        seconds = self._elapsed()
        for history in histories:
            history.worker_seconds += seconds / len(histories)

    def leave_out(self, histories: Sequence[History]) -> None:
        """Exclude the time, such as that of asking finished cells, from the cells' training time."""
        seconds = self._elapsed()
        for history in histories:
            history.started += seconds

    def _elapsed(self) -> float:
        before, self._last = self._last, time.monotonic()
        return self._last - before
