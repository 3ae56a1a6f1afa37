"""Signals that end training: noted when they come, and acted on between two steps, once checkpoints are written.

SLURM sends SIGUSR2 before a job's time ends or another job takes its place. A sweep that ends sends SIGTERM to its
local workers. Ctrl-C is SIGINT, a closed terminal SIGHUP. A second Ctrl-C does not wait.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGUSR2, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
"""In the order in which they are passed on: the first may requeue the job, which the others would only end."""


class Signals:
    """Signals that came and were not acted on yet."""

    def __init__(self) -> None:
        self._came: set[int] = set()
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._came)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back; the process still ignores those that it ignored. Outside the main thread do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._before = {number: old for number, old in handlers.items() if old not in (signal.SIG_IGN, None)}
        self.install()
        try:
            yield
        finally:
            for number, before in self._before.items():
                signal.signal(number, before)

    def install(self) -> None:
        """Install the handlers, again if another library has replaced them meanwhile."""
        for number in self._before:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in self._came and number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._came.add(number)

    def pass_on(self) -> bool:
        """Call the previous handlers of the signals that came; True when training must end for the others.

        A handler of another library is called at once; submitit's requeues the job and exits. If it returns, training
        goes on. The system's own way to end a process waits until `deliver`.
        """
        for number in SIGNALS:
            handler: Callable[[int, None], Any] = self._before.get(number, signal.SIG_DFL)
            if number in self._came and callable(handler) and handler is not signal.default_int_handler:
                self._came.discard(number)
                handler(number, None)
        return bool(self._came)

    def deliver(self) -> None:
        """End the process as the held signals would have: KeyboardInterrupt, or death by the signal."""
        for number in SIGNALS:
            if number in self._came:
                self._came.discard(number)
                signal.raise_signal(number)
