import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from helpers.liveness import gone, running
from helpers.processes import wait_for

from memlaw.study import liveness as heartbeat
from memlaw.study.liveness import SILENT_S, beating, observed_state
from memlaw.study.status import Status
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack


@pytest.mark.parametrize(
    ("host", "pid", "seconds_ago", "state"),
    [
        (socket.gethostname(), "own", 0, "running"),
        (socket.gethostname(), "own", 2 * SILENT_S, "running"),  # stopped for a while, and alive
        (socket.gethostname(), None, 0, "dead"),
        (socket.gethostname(), None, 2 * SILENT_S, "dead"),
        ("elsewhere", "own", 0, "running"),
        ("elsewhere", None, SILENT_S - 10, "running"),
        ("elsewhere", "own", SILENT_S + 10, "dead"),
        ("elsewhere", 1, None, "running"),  # its status was written just now
    ],
)
def test_dead_is_told_from_running_by_host_process_and_heartbeat(tiny, host, pid, seconds_ago, state):
    cell, _ = tiny()
    running(cell, seconds_ago, host=host, pid=os.getpid() if pid == "own" else pid or gone())
    assert observed_state(cell.paths, cell.status) == state


def test_a_later_process_with_the_same_number_does_not_count(tiny):
    cell, _ = tiny()
    running(cell, 0, datetime.now(UTC) - timedelta(days=9), pid=os.getpid())
    assert observed_state(cell.paths, cell.status) == "dead"


def test_a_status_without_process_or_time_is_dead_and_other_states_stay(tiny):
    cell, _ = tiny()
    assert observed_state(cell.paths, Status("running")) == "dead"
    assert observed_state(cell.paths, Status("running", pid=10**30, host=socket.gethostname())) == "dead"
    assert observed_state(cell.paths, Status("failed")) == "failed"


def test_the_heart_beats_for_running_cells_alone_and_stops(tiny, monkeypatch):
    monkeypatch.setattr(heartbeat, "PERIOD_S", 0.02)
    one, other = tiny()[0], tiny("seed=1")[0]
    for cell in (one, other):
        cell.plan()
        cell.start()
    with beating([one, other]):
        os.utime(one.paths.heartbeat, (0, 0))
        other.set_status("failed", cause="a cause")
        wait_for(lambda: one.paths.heartbeat.stat().st_mtime > 0 and not other.paths.heartbeat.exists())
    assert not one.paths.heartbeat.exists()


def test_a_pack_beats_while_it_trains_and_not_after(tiny, monkeypatch):
    step, seen = PackModule.training_step, []

    def watched(self, *arguments):
        seen.append((cell.paths.heartbeat.exists(), observed_state(cell.paths, cell.status)))
        return step(self, *arguments)

    cell, cfg = tiny("steps=3", "seq_len=8")
    cell.plan()
    monkeypatch.setattr(PackModule, "training_step", watched)
    train_pack([cell], cfg)
    assert set(seen) == {(True, "running")}
    assert not cell.paths.heartbeat.exists()


def test_a_heartbeat_that_cannot_be_written_stops_nothing(tiny, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    cell, cfg = tiny("steps=3", "seq_len=8")
    cell.plan()
    monkeypatch.setattr(Path, "touch", full)
    train_pack([cell], cfg)
    assert cell.state == "done"


def test_the_heartbeat_of_an_earlier_attempt_says_nothing_about_the_next(tiny):
    cell, _ = tiny()
    running(cell, SILENT_S + 10, host="elsewhere")
    assert observed_state(cell.paths, cell.status) == "dead"
    cell.start(host="elsewhere")
    assert observed_state(cell.paths, cell.status) == "running"
