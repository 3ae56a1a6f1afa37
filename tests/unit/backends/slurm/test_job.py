"""Tasks as a job runs them, without a Slurm."""

import signal
import time
from pathlib import Path

import pytest

from memlaw.backends.slurm.job import TrainTask
from memlaw.backends.slurm.tasks import (
    Task,
)
from memlaw.study.liveness import SILENT_S


def test_a_task_goes_past_a_cell_that_is_moved_away_and_waits_for_one_that_is_held(tiny, tmp_path: Path, monkeypatch):
    (cell, _), (moved, _) = tiny("seq_len=8"), tiny("seq_len=16")
    cell.plan()
    tries = []

    def held_once(cells, settings):
        tries.append([own.name for own in cells])
        if len(tries) == 4:
            cell.set_status("failed", cause="a cause")

    monkeypatch.setattr("memlaw.training.pack.train_pack", held_once)
    monkeypatch.setattr("memlaw.backends.slurm.job.RETRY_S", 0.01)
    path = tmp_path / "task.json"
    Task(str(cell.study), [[moved.name], [cell.name]], {}).write(path)
    began = time.monotonic()
    TrainTask(path)()
    assert tries == [[], [cell.name], [], [cell.name]]
    assert cell.state == "failed"
    assert time.monotonic() - began < SILENT_S


def test_a_job_that_cannot_be_requeued_ends_and_fails_no_cell(tmp_path: Path, monkeypatch):
    def refuse(signum, frame):
        raise RuntimeError("timed-out too many times.")

    def signalled(cells, settings):
        assert cells == []
        signal.raise_signal(signal.SIGUSR2)

    monkeypatch.setattr("memlaw.training.pack.train_pack", signalled)
    path = tmp_path / "task.json"
    Task(str(tmp_path), [[]], {}).write(path)
    before = signal.signal(signal.SIGUSR2, refuse)
    try:
        with pytest.raises(SystemExit, match=r"timed-out too many times\. The same sweep, run again"):
            TrainTask(path)()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert TrainTask(path).checkpoint().function.path == str(path)
