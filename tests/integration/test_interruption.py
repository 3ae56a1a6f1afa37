"""Signals to a sweep's own process, its workers left alone: they write checkpoints, and the same command goes on."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from helpers.interruption import started
from helpers.processes import PATIENCE_S, has_ended, wait_for

from memlaw.study.status import read_status
from memlaw.training.checkpoint import step_of

pytestmark = pytest.mark.slow

TWO = ("-m", "seed=0,1", "checkpoint.every_min=null")


def checkpoints(study: Path) -> list[int]:
    return [step_of(path) for path in study.glob("*/checkpoint.safetensors")]


def states(study: Path) -> set[str]:
    return {read_status(path).state for path in study.glob("*/status.json")}


def test_a_signal_to_a_sweep_ends_it_with_checkpoints(tmp_path: Path):
    """By the example of one signal; `test_workers.py` raises each."""
    run, study = started(tmp_path, *TWO)
    os.kill(run.pid, signal.SIGUSR2)
    said, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 128 + signal.SIGUSR2, said
    assert "Traceback" not in said
    assert "the same command goes on with what is missing" in said
    assert len(checkpoints(study)) == 2
    assert all(0 < step < 30000 for step in checkpoints(study))
    assert states(study) == {"pending"}


def test_a_sweep_under_nohup_outlives_its_terminal(tmp_path: Path):
    run, study = started(tmp_path, *TWO, ignoring="HUP")
    os.killpg(run.pid, signal.SIGHUP)
    time.sleep(2)
    assert run.poll() is None
    assert states(study) == {"running"}
    os.killpg(run.pid, signal.SIGTERM)
    said, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 128 + signal.SIGTERM, said
    assert len(checkpoints(study)) == 2


def test_workers_whose_sweep_was_killed_write_checkpoints_and_end(tmp_path: Path):
    run, study = started(tmp_path, *TWO)
    workers = [child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert workers
    run.kill()
    run.communicate(timeout=PATIENCE_S)
    wait_for(lambda: all(has_ended(worker.pid) for worker in workers))
    assert len(checkpoints(study)) == 2
    assert states(study) == {"pending"}


def test_a_second_ctrl_c_kills(tmp_path: Path):
    run, study = started(tmp_path, *TWO)
    workers = psutil.Process(run.pid).children(recursive=True)
    trainer = next(worker for worker in workers if worker.pid == read_status(next(study.glob("*/status.json"))).pid)
    trainer.suspend()  # a step that takes for ever
    os.killpg(run.pid, signal.SIGINT)
    said = ""
    while "Ctrl-C again kills them" not in said:
        said += (line := run.stdout.readline())
        assert line, said
    time.sleep(1)
    assert run.poll() is None
    os.killpg(run.pid, signal.SIGINT)
    said += run.communicate(timeout=PATIENCE_S)[0]
    assert run.returncode == 130, said
    assert "Traceback" not in said
    assert not checkpoints(study)
    wait_for(lambda: all(has_ended(worker.pid) for worker in workers))
