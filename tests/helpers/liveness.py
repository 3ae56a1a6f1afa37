"""Cells whose process is alive, dead or silent."""

import os
import subprocess
import sys
import time
from datetime import datetime


def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def running(cell, seconds_ago: float | None, started: datetime | None = None, **process) -> None:
    cell.plan(**cell.status.forecast)
    cell.start(**process)
    if started:
        cell.set_status("running", started=started.isoformat())
    if seconds_ago is not None:
        cell.paths.heartbeat.touch()
        then = time.time() - seconds_ago
        os.utime(cell.paths.heartbeat, (then, then))
