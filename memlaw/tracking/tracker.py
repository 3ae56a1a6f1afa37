"""Sends each cell's metrics to the tracking service from one background thread.

A slow, failing or hanging service costs a warning and the mirror, never a cell and never a step.
"""

import logging
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd

from memlaw.study.cell import Cell
from memlaw.tracking.contents import Decode, evaluation_values, log_end
from memlaw.tracking.service import Run, Service
from memlaw.tracking.worker import Worker

log = logging.getLogger(__name__)

SETTLE_S = 10.0
"""Seconds that a process which is about to be preempted waits for its service."""


class _Attempt:
    """One attempt to send a cell's calls to the service; the first error ends it."""

    def __init__(self, worker: Worker, name: str, open_run: Callable[[], Run]):
        self._worker = worker
        self._name = name
        self._run: Run | None = None
        self._broken = False
        self._submit(lambda: setattr(self, "_run", open_run()))

    def send(self, call: Callable[[Run], None]) -> None:
        """Submit a call on the run."""
        self._submit(lambda: call(cast(Run, self._run)))

    def _submit(self, call: Callable[[], None]) -> None:
        def guarded() -> None:
            if self._broken:
                return
            try:
                call()
            except Exception as error:  # any error of the service: the cell goes on
                self._broken = True
                log.warning("%s: %s: %s; this run is not mirrored any further", self._name, type(error).__name__, error)

        self._worker.submit(guarded)


class CellTracker:
    """Mirrors one cell. No method raises or blocks.

    Calls are kept until the service has run them all, so that `resend` can begin again.

    Attributes:
        complete: whether the service has run all calls, up to the run's end.
    """

    def __init__(self, worker: Worker | None, name: str, open_run: Callable[[], Run]):
        self._name = name
        self._open_run = open_run
        self._attempt = _Attempt(worker, name, open_run) if worker else None
        self._calls: list[Callable[[Run], None]] = []
        self._logged_step = -1
        self.complete = False

    def _send(self, call: Callable[[Run], None]) -> None:
        if self._attempt:
            self._calls.append(call)
            self._attempt.send(call)

    def _end(self, call: Callable[[Run], None]) -> None:
        def end(run: Run) -> None:
            call(run)
            self.complete = True
            self._calls.clear()

        self._send(end)

    def resend(self, worker: Worker) -> None:
        """Open the run again on another worker, and repeat all calls from the start."""
        self._attempt = _Attempt(worker, self._name, self._open_run)
        for call in self._calls:
            self._attempt.send(call)

    def log(self, step: int, scalars: dict[str, Any], nll_S: np.ndarray) -> None:
        """Log an evaluation.

        Args:
            step: optimizer steps before it. A step that was logged before is left out: a cell that starts again gives
                the same numbers again.
            scalars: by the names in `memlaw.tracking.contents.CURVES`.
            nll_S: losses of the S target tokens, nats.
        """
        if step > self._logged_step:
            self._logged_step = step
            values = evaluation_values(scalars, nll_S)
            self._send(lambda run: run.log(step, values))

    def finish(self, cell: Cell, result: dict[str, Any], tokens: pd.DataFrame, decode: Decode) -> None:
        """End the run of a done cell with its result row and token table, as they are on disk."""
        self._end(lambda run: log_end(run, cell, result, tokens, decode))

    def fail(self) -> None:
        """End the run of a failed cell."""
        self._end(lambda run: run.fail())

    def interrupt(self) -> None:
        """End the run for now; the cell will go on in another process."""
        self._end(lambda run: run.interrupt())


class Tracker:
    """Starts the trackers of a process's cells."""

    def __init__(self, service: Service):
        self.service = service
        self._worker = Worker() if service.mode != "disabled" else None
        self._cells: list[CellTracker] = []

    def start(self, cell: Cell) -> CellTracker:
        """Open the run of a cell."""
        self._cells.append(CellTracker(self._worker, self.service.name, lambda: self.service.open(cell)))
        return self._cells[-1]

    def settle(self) -> None:
        """Wait at most `SETTLE_S` until the service has run all calls of all cells."""
        if self._worker:
            self._worker.drain(SETTLE_S)

    def drain(self) -> None:
        """Give the service `timeout_s` to open a run that it may be opening, and as long to catch up.

        Abandon a service that has not caught up by then, with a warning, and send it once more the runs that it lacks.
        W&B then stores these on disk.
        """
        if not self._worker or self._caught_up():
            return
        log.warning(
            "%s did not catch up within %g s; the records on disk are complete",
            self.service.name,
            2 * self.service.timeout_s,
        )
        self._worker.retire()
        self.service.abandon()
        self._worker = Worker()
        for cell in self._cells:
            if not cell.complete:
                cell.resend(self._worker)
        if not self._caught_up():
            self.service.abandon()

    def _caught_up(self) -> bool:
        assert self._worker
        self._worker.submit(self.service.close)
        return self._worker.drain(2 * self.service.timeout_s)
