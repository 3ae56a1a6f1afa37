"""The background thread that calls a tracking service."""

import queue
import threading
from collections.abc import Callable


class Worker:
    """Runs calls in order on one daemon thread."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._retired = False
        threading.Thread(target=self._run, name="tracking", daemon=True).start()

    def _run(self) -> None:
        while not self._retired:
            self._calls.get()()

    def submit(self, call: Callable[[], None]) -> None:
        """Queue a call; it must not raise."""
        self._calls.put(call)

    def drain(self, timeout_s: float) -> bool:
        """Wait until all submitted calls have run; return False when `timeout_s` passes first."""
        done = threading.Event()
        self.submit(done.set)
        return done.wait(timeout_s)

    def retire(self) -> None:
        """Run no more calls after the one that runs now, which may never return."""
        self._retired = True
