"""Tell whether the process that trains a cell is alive. That process touches a file; readers write nothing."""

import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil

from memlaw.study.cell import Cell
from memlaw.study.layout import CellPaths
from memlaw.study.status import RUNNING, Status

log = logging.getLogger(__name__)

PERIOD_S = 20.0
"""Time between two touches of a running cell's heartbeat file."""

SILENT_S = 120.0
"""Age of a heartbeat above which a process on another machine counts as dead."""

DEAD = "dead"
"""The state of a cell whose status says running and whose process is gone. No file holds it."""


@contextmanager
def beating(cells: Sequence[Cell]) -> Iterator[None]:
    """Touch the heartbeats of running cells from a thread, and remove those of other cells."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(PERIOD_S):
            _touch(cells)

    _touch(cells)
    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for cell in cells:
            cell.paths.heartbeat.unlink(missing_ok=True)


def _touch(cells: Sequence[Cell]) -> None:
    for cell in cells:
        try:
            if cell.state == RUNNING:
                cell.paths.heartbeat.touch()
            else:
                cell.paths.heartbeat.unlink(missing_ok=True)
        except OSError as error:  # a full disk or a file system away for a while: training goes on
            log.warning("%s: no heartbeat: %s", cell.name, error)


def observed_state(paths: CellPaths, status: Status) -> str:
    """Return the state of a status, or `dead` where it says running and the process is gone."""
    return DEAD if status.state == RUNNING and not _alive(paths, status) else status.state


def trained_elsewhere(cell: Cell) -> bool:
    """Tell whether another machine trains the cell: its status says so, and its heartbeat is fresh.

    Call it while holding the lock. It is needed because some shared file systems do not honour locks across machines.
    """
    status = cell.status
    elsewhere = status.state == RUNNING and status.host != socket.gethostname()
    return elsewhere and _alive(cell.paths, status)


def silence_seconds(paths: CellPaths, status: Status) -> float:
    """Return the seconds since the last sign of the process that trains a cell; infinite when there was none."""
    try:
        last_sign = paths.heartbeat.stat().st_mtime
    except OSError:  # no heartbeat yet
        last_sign = status.updated_at or float("-inf")
    return time.time() - last_sign


def _alive(paths: CellPaths, status: Status) -> bool:
    if status.host == socket.gethostname() and status.pid is not None:
        return _process_lives(status.pid, status.started_at)
    return silence_seconds(paths, status) <= SILENT_S


def _process_lives(pid: int, started: float | None) -> bool:
    """Tell whether process `pid` exists. A process that started after the cell has merely the same number."""
    try:
        process = psutil.Process(pid)
        later = started is not None and process.create_time() > started + SILENT_S
        return process.status() != psutil.STATUS_ZOMBIE and not later
    except psutil.AccessDenied:
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
