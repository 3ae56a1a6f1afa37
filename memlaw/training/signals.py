"""Defers signals that end training until checkpoints are written, between two steps.

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
"""The deferred signals, in the order of handling: SIGUSR2 may requeue the job, the others only end it."""


class Signals:
    """Signals that have arrived and are not handled yet."""

    def __init__(self) -> None:
        self._arrived: set[int] = set()
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._arrived)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Defer signals inside the context, except those that the process ignores; only in the main thread."""
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
        """Install the handlers; call it again after another library may have replaced them."""
        for number in self._before:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in self._arrived and number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._arrived.add(number)

    def pass_on(self) -> bool:
        """Call the previous handlers of the signals that arrived; return True when training must end for the others.

        Handlers of other libraries are called now: submitit's requeues the job and exits. If a handler returns,
        training goes on. Signals without one, which end the process, wait for `deliver`.
        """
        for number in SIGNALS:
            handler: Callable[[int, None], Any] = self._before.get(number, signal.SIG_DFL)
            if number in self._arrived and callable(handler) and handler is not signal.default_int_handler:
                self._arrived.discard(number)
                handler(number, None)
        return bool(self._arrived)

    def deliver(self) -> None:
        """Raise the deferred signals: they end the process, or raise KeyboardInterrupt."""
        for number in SIGNALS:
            if number in self._arrived:
                self._arrived.discard(number)
                signal.raise_signal(number)
