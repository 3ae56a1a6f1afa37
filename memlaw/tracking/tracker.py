"""Sends each cell's metrics to the tracking service from one background thread.

A slow, failing or hanging service costs a warning and the mirror, never a cell and never a step.
"""

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd

from memlaw.study.cell import Cell
from memlaw.tracking.contents import (
    HISTOGRAM,
    STRIP,
    TABLE,
    Decode,
    histogram,
    probability_strip,
    run_summary,
    stubborn_rows,
)

log = logging.getLogger(__name__)

SETTLE_S = 10.0
"""How long a process that is about to be preempted waits for its service."""


class Run(Protocol):
    """A run at a service."""

    def log(self, step: int, values: dict[str, Any]) -> None:
        """Values after `step` optimizer steps; steps ascend, and those that the run holds already are left out."""
        ...

    def keep(self, name: str, kind: str, files: list[Path]) -> None:
        """Keep files and directories as an artifact."""
        ...

    def finish(self, summary: dict[str, Any]) -> None:
        """The run is complete."""
        ...

    def fail(self) -> None:
        """The run failed."""
        ...

    def interrupt(self) -> None:
        """The run ends for now; a later process continues it."""
        ...


class Service(Protocol):
    """Keeps runs; a config of `conf/logger/`.

    Attributes:
        mode: `disabled` keeps none.
        timeout_s: how long the end of a pack waits for it.
        name: what messages call it.
    """

    mode: str
    timeout_s: float
    name: str

    def open(self, cell: Cell) -> Run:
        """Begin a cell's run, or go on with it."""
        ...

    def hint(self, study: Path) -> str | None:
        """What a user should know when a sweep begins."""
        ...

    def left_behind(self, study: Path) -> str | None:
        """What a user should know when a sweep has ended: runs that the service was to have and has not."""
        ...

    def close(self) -> None:
        """End whatever the runs needed in common, once they have ended; it may take long."""
        ...

    def abandon(self) -> None:
        """Stop waiting: what the service has not taken by now must not keep this process from ending.

        Runs opened from now on are kept where no server is needed.
        """
        ...


def evaluation_values(scalars: dict[str, Any], nll_S: np.ndarray) -> dict[str, Any]:
    """What a run is told of an evaluation: scalars, and the histogram of p from losses of the S target tokens."""
    return {**scalars, HISTOGRAM: histogram(np.exp(-nll_S))}


def tell_end(run: Run, cell: Cell, result: dict[str, Any], tokens: pd.DataFrame, decode: Decode) -> None:
    """Tell a run that its cell is done: media, artifacts and the summary, from the records as they are on disk."""
    paths, last = cell.paths, result["steps_trained"]
    media = {TABLE: stubborn_rows(tokens, decode), STRIP: probability_strip(tokens)}
    run.log(last + 1, {"step": last, **media})  # a row of its own; that of the last step is sent already
    run.keep("records", "records", [paths.tokens, paths.result, paths.recall, paths.config])
    run.keep("adapter", "adapter", [paths.adapter])
    run.finish(run_summary(result))


class _Telling:
    """One attempt at telling a service of a cell; the first error ends it."""

    def __init__(self, worker: "_Worker", name: str, open_run: Callable[[], Run]):
        self._worker = worker
        self._name = name
        self._run: Run | None = None
        self._broken = False
        self._submit(lambda: setattr(self, "_run", open_run()))

    def _submit(self, call: Callable[[], None]) -> None:
        def guarded() -> None:
            if self._broken:
                return
            try:
                call()
            except Exception as error:  # whatever the service raises, the cell goes on
                self._broken = True
                log.warning("%s: %s: %s; this run is not mirrored any further", self._name, type(error).__name__, error)

        self._worker.submit(guarded)

    def tell(self, call: Callable[[Run], None]) -> None:
        """Submit a call on the run."""
        self._submit(lambda: call(cast(Run, self._run)))


class CellTracker:
    """Mirrors one cell. No method raises or blocks.

    What it is told is kept until the service has all of it, so that `retell` can begin again.

    Attributes:
        whole: whether the service has all of it.
    """

    def __init__(self, worker: "_Worker | None", name: str, open_run: Callable[[], Run]):
        self._worker = worker
        self._name = name
        self._open_run = open_run
        self._telling = _Telling(worker, name, open_run) if worker else None
        self._told: list[Callable[[Run], None]] = []
        self._logged = -1
        self.whole = False

    def _tell(self, call: Callable[[Run], None]) -> None:
        if self._telling:
            self._told.append(call)
            self._telling.tell(call)

    def _end(self, call: Callable[[Run], None]) -> None:
        def end(run: Run) -> None:
            call(run)
            self.whole = True
            self._told.clear()

        self._tell(end)

    def retell(self, worker: "_Worker") -> None:
        """Open the run once more, and tell it everything from the start."""
        self._worker = worker
        self._telling = _Telling(worker, self._name, self._open_run)
        for call in self._told:
            self._telling.tell(call)

    def log(self, step: int, scalars: dict[str, Any], nll_S: np.ndarray) -> None:
        """The evaluation after `step` steps: `memlaw.tracking.contents.CURVES`, and losses of the S target tokens."""
        if step > self._logged:  # a cell that had to start again gives the same numbers again
            self._logged = step
            values = evaluation_values(scalars, nll_S)
            self._tell(lambda run: run.log(step, values))

    def finish(self, cell: Cell, result: dict[str, Any], tokens: pd.DataFrame, decode: Decode) -> None:
        """The cell is done: its result row and token table, as they are on disk."""
        self._end(lambda run: tell_end(run, cell, result, tokens, decode))

    def fail(self) -> None:
        """The cell failed."""
        self._end(lambda run: run.fail())

    def interrupt(self) -> None:
        """The process is about to end; the cell will go on in another."""
        self._end(lambda run: run.interrupt())


class _Worker:
    """Runs calls in order on one daemon thread."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._retired = False
        threading.Thread(target=self._run, name="tracking", daemon=True).start()

    def _run(self) -> None:
        while not self._retired:
            self._calls.get()()

    def submit(self, call: Callable[[], None]) -> None:
        self._calls.put(call)

    def drain(self, timeout_s: float) -> bool:
        """Wait until all submitted calls have run; False when `timeout_s` passes first."""
        done = threading.Event()
        self.submit(done.set)
        return done.wait(timeout_s)

    def retire(self) -> None:
        """Run nothing more after the call that hangs."""
        self._retired = True


class Tracker:
    """Starts the trackers of a process's cells."""

    def __init__(self, service: Service):
        self.service = service
        self._worker = _Worker() if service.mode != "disabled" else None
        self._cells: list[CellTracker] = []

    def start(self, cell: Cell) -> CellTracker:
        """Open the run of a cell."""
        self._cells.append(CellTracker(self._worker, self.service.name, lambda: self.service.open(cell)))
        return self._cells[-1]

    def settle(self) -> None:
        """Wait, at most `SETTLE_S`, until the service has been told all of every cell."""
        if self._worker:
            self._worker.drain(SETTLE_S)

    def drain(self) -> None:
        """Give the service `timeout_s` to open a run that it may be opening, and as long to catch up.

        A service that has not caught up by then is abandoned, with a warning, and told once more what it lacks: W&B
        then keeps these runs on disk.
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
        self._worker = _Worker()
        for cell in self._cells:
            if not cell.whole:
                cell.retell(self._worker)
        if not self._caught_up():
            self.service.abandon()

    def _caught_up(self) -> bool:
        assert self._worker
        self._worker.submit(self.service.close)
        return self._worker.drain(2 * self.service.timeout_s)
