"""Sweeps that signals end, or that are killed: checkpoints are written, and the same command goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers.interruption import COMMAND, started
from helpers.processes import PATIENCE_S, has_ended, python, wait_for
from helpers.study_files import results, states, statuses

from memlaw.study.records import read_tokens
from memlaw.training.checkpoint import step_of

pytestmark = pytest.mark.slow

KILLS = 5
OFTEN = "checkpoint.every_min=0.002"
TWO = ("-m", "seed=0,1", "checkpoint.every_min=null")


def checkpoints(study: Path) -> list[int]:
    return [step_of(path) for path in study.glob("*/checkpoint.safetensors")]


def test_a_sweep_under_nohup_outlives_its_terminal_and_ends_with_checkpoints_at_a_signal(tmp_path: Path):
    """By the example of one signal; `test_workers.py` raises each."""
    run, study = started(tmp_path, *TWO, ignoring="HUP")
    os.killpg(run.pid, signal.SIGHUP)
    time.sleep(2)
    assert run.poll() is None
    assert set(states(study).values()) == {"running"}
    os.kill(run.pid, signal.SIGUSR2)
    printed, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 128 + signal.SIGUSR2, printed
    assert "Traceback" not in printed
    assert "the same command goes on with what is missing" in printed
    assert len(checkpoints(study)) == 2
    assert all(0 < step < 30000 for step in checkpoints(study))
    assert set(states(study).values()) == {"pending"}


def test_workers_whose_sweep_was_killed_write_checkpoints_and_end(tmp_path: Path):
    run, study = started(tmp_path, *TWO)
    workers = [child for child in psutil.Process(run.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert workers
    run.kill()
    run.communicate(timeout=PATIENCE_S)
    wait_for(lambda: all(has_ended(worker.pid) for worker in workers))
    assert len(checkpoints(study)) == 2
    assert set(states(study).values()) == {"pending"}


def test_a_second_ctrl_c_kills(tmp_path: Path):
    run, study = started(tmp_path, *TWO)
    workers = psutil.Process(run.pid).children(recursive=True)
    trained_by = {status.get("pid") for status in statuses(study).values()}
    trainer = next(worker for worker in workers if worker.pid in trained_by)
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


def test_ctrl_c_writes_checkpoints_and_the_same_command_goes_on(tmp_path: Path):
    run, study = started(tmp_path, "-m", "seed=0,1")
    os.killpg(run.pid, signal.SIGINT)
    printed, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode not in (0, None)
    assert "Traceback" not in printed
    steps = checkpoints(study)
    assert len(steps) == 2, printed
    assert all(0 < step < 30000 for step in steps)
    assert set(states(study).values()) == {"pending"}
    again, _ = started(tmp_path, "-m", "seed=0,1", attempt=2)
    os.killpg(again.pid, signal.SIGINT)
    again.communicate(timeout=PATIENCE_S)
    assert all(after > before for before, after in zip(steps, checkpoints(study), strict=True))


def _trains_under(launcher: int, study: Path) -> bool:
    """Whether a process of this launcher's trains a cell of the study."""
    workers = {child.pid for child in psutil.Process(launcher).children(recursive=True)}
    return any(status["state"] == "running" and status["pid"] in workers for status in statuses(study).values())


def _kill_once(command: list[str], study: Path, after_s: float, while_it_starts: bool) -> None:
    """Start a sweep and kill it with its workers, `after_s` seconds after it trains or, else, after it starts."""
    run = subprocess.Popen(
        command,
        cwd=study.parents[1],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    if not while_it_starts:
        wait_for(lambda: run.poll() is not None or _trains_under(run.pid, study))
    time.sleep(after_s)
    with suppress(ProcessLookupError):  # it has just ended
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def test_killed_again_and_again_a_sweep_of_nine_cells_ends_with_the_same_numbers(tmp_path: Path):
    # Packs of one: where a kill between two cells' checkpoints splits a pack, sums are rounded in another order.
    grid = ["lora.rank=1,2,4", "seq_len=8,16,24", "steps=500", OFTEN, "eval.per_decade=8", "pack.max_cells=1"]
    plain = [word for word in COMMAND if not word.startswith(("steps", "seq_len", "study", "eval"))]
    command = ["-m", "memlaw.train", "-m", *plain, *grid]
    assert python(*command, "study=whole", cwd=tmp_path).returncode == 0
    whole, killed = tmp_path / "runs/whole", tmp_path / "runs/killed"
    rng = np.random.default_rng(0)
    for kill in range(KILLS):
        _kill_once([sys.executable, *command, "study=killed"], killed, rng.uniform(0, 1), while_it_starts=kill == 1)
        for name in (name for name, state in states(killed).items() if state == "done"):
            assert len(read_tokens(killed / name / "tokens.parquet"))
            json.loads((killed / name / "result.json").read_text())
    assert python(*command, "study=killed", cwd=tmp_path).returncode == 0
    assert sum(status["attempt"] for status in statuses(killed).values()) > 9  # some were killed while they trained
    assert len(results(whole)) == 9
    assert set(states(whole)) == set(states(killed))
    for name in states(whole):
        one, other = (read_tokens(study / name / "tokens.parquet") for study in (whole, killed))
        assert one[["step", "position", "token_id"]].equals(other[["step", "position", "token_id"]])
        np.testing.assert_allclose(one["p"], other["p"], rtol=0, atol=1e-4)
        assert [path.name for path in (killed / name).glob(".*.tmp")] == []
