"""Signals that end training: noted when they come, acted upon between two steps, once checkpoints are written.

SIGUSR2 is what a SLURM job gets before its time ends or another job takes its place, SIGTERM what a local worker gets
when its sweep ends, SIGINT Ctrl-C, SIGHUP a terminal that closes. A second Ctrl-C does not wait.
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
    """Signals that came and were not acted upon yet."""

    def __init__(self) -> None:
        self._came: set[int] = set()
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._came)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold signals back; those that the process ignores stay ignored. Outside the main thread it does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._before = {number: own for number, own in handlers.items() if own not in (signal.SIG_IGN, None)}
        self.install()
        try:
            yield
        finally:
            for number, before in self._before.items():
                signal.signal(number, before)

    def install(self) -> None:
        """Take the held signals back from whoever claimed them meanwhile."""
        for number in self._before:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number in self._came and number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._came.add(number)

    def pass_on(self) -> bool:
        """Call the handlers that were there before, of what came; True when training must end for the rest.

        A handler of another library, such as submitit's, which requeues the job and exits, is called at once. Where
        it returns, training goes on. The system's own way to end a process waits until `deliver`.
        """
        for number in SIGNALS:
            handler: Callable[[int, None], Any] = self._before.get(number, signal.SIG_DFL)
            if number in self._came and callable(handler) and handler is not signal.default_int_handler:
                self._came.discard(number)
                handler(number, None)
        return bool(self._came)

    def deliver(self) -> None:
        """End as the process would have, had the signals not been held: KeyboardInterrupt, or death by the signal."""
        for number in SIGNALS:
            if number in self._came:
                self._came.discard(number)
                signal.raise_signal(number)
