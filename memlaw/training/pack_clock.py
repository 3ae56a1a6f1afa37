"""The training time of a pack, divided among its cells."""

import time
from collections.abc import Sequence

from memlaw.training.history import History


class PackClock:
    """Shares out the time since it was last asked."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def share(self, histories: Sequence[History]) -> None:
        """Divide the time among the cells that trained in it."""
        seconds = self._elapsed()
        for history in histories:
            history.worker_seconds += seconds / len(histories)

    def leave_out(self, histories: Sequence[History]) -> None:
        """Exclude the time, such as that of asking finished cells, from the training time of all cells."""
        seconds = self._elapsed()
        for history in histories:
            history.started += seconds

    def _elapsed(self) -> float:
        before, self._last = self._last, time.monotonic()
        return self._last - before
