import os
import time

from helpers.liveness import gone, running

from memlaw.core.errors import CellError
from memlaw.screens.causes import cause, or_unknown
from memlaw.study.survey import survey


def cause_of(cell) -> str:
    return cause(cell.study, survey([cell])[0])


def test_a_failure_has_the_cause_in_its_status(tiny):
    cell, _ = tiny()
    cell.plan()
    cell.fail(CellError("diverged"))
    assert cause_of(cell) == "diverged"


def test_a_dead_cell_has_its_process_its_step_and_the_last_sign_of_life(tiny):
    cell, _ = tiny()
    pid = gone()
    running(cell, 600, pid=pid, step=7)
    assert cause_of(cell) == f"process {pid} on {os.uname().nodename} is gone at step 7, last seen 10 min ago"


def test_a_dead_cell_without_a_step_or_a_sign_says_so(tiny):
    cell, _ = tiny()
    running(cell, None, host="elsewhere", pid=3)
    cell.paths.status.write_text('{"state": "running", "host": "elsewhere"}')
    assert cause_of(cell) == "process ? on elsewhere is gone, never seen"
    assert or_unknown(0) == "0"
    then = time.time() - 7200
    cell.paths.heartbeat.touch()
    os.utime(cell.paths.heartbeat, (then, then))
    assert cause_of(cell) == "process ? on elsewhere is gone, last seen 2.0 h ago"
