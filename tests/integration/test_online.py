"""Cells whose runs go to a W&B server while they train: whatever becomes of it, the cells are done."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers.configs import FAST, TINY
from helpers.processes import PATIENCE_S, python, wait_for
from helpers.wandb_server import KEY, KeptRun, WandbServer

from memlaw.study.records import read_results
from memlaw.tracking.contents import study_digest
from memlaw.tracking.wandb_service import INTERRUPTED

pytestmark = pytest.mark.slow

ONLINE = ["logger.mode=online", "logger.entity=me", "logger.stagger_s=0"]
EACH_SECOND = {"WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL": "1"}
"""W&B sends history every 15 seconds, which is longer than these cells take."""
LONG = [*TINY, "steps=3000", "stop.when_recalled=false", "seq_len=8", "checkpoint.every_min=0.02", *ONLINE]
"""A cell that takes long enough to be killed, and goes on afterwards."""


@pytest.fixture
def at(train, server: WandbServer):
    """Train tiny cells of rank 1 and 2 with their runs at the server."""

    def run(*overrides: str, **credentials: str) -> subprocess.CompletedProcess[str]:
        grid = ["-m", *FAST, "seq_len=8", "lora.rank=1,2"]
        return train(*grid, *ONLINE, *overrides, WANDB_BASE_URL=server.url, **(credentials or {"WANDB_API_KEY": KEY}))

    return run


def runs_of(server: WandbServer, study: Path) -> dict[str, KeptRun]:
    """What the server has of each done cell, by the cell's name."""
    digest = study_digest(study)
    return {name: server.runs[f"{digest}-{name.rpartition('-')[2]}"] for name in read_results(study)["cell"]}


def assert_whole(server: WandbServer, study: Path) -> None:
    """The server has each cell's whole history once and the summary of its `result.json`."""
    kept = runs_of(server, study)
    assert len(kept) == len(server.runs) == 2
    for name, run in kept.items():
        result = json.loads((study / name / "result.json").read_text())
        assert run.steps == sorted(set(run.steps))
        assert len(run.losses) >= 5
        assert run.losses[20] == pytest.approx(result["loss_nats"])
        assert run.summary["delta_loss_nats"] == pytest.approx(result["delta_loss_nats"])
        assert run.exit_code == 0


@pytest.fixture
def stored(server: WandbServer, tmp_path: Path) -> dict[str, str]:
    """Credentials as `wandb login` leaves them."""
    (tmp_path / "netrc").write_text(f"machine {urlsplit(server.url).netloc}\n  login user\n  password {KEY}\n")
    return {"NETRC": str(tmp_path / "netrc")}


def sync(directory: Path, server: WandbServer, **credentials: str) -> subprocess.CompletedProcess[str]:
    login = {"WANDB_BASE_URL": server.url, **(credentials or {"WANDB_API_KEY": KEY})}
    return python("-m", "memlaw.sync", "runs/default", cwd=directory, **login)


def all_done(study: Path) -> bool:
    return len(read_results(study)) == 2


def test_runs_are_whole_while_the_server_is_slow_or_refuses_for_a_while(at, server, stored, tmp_path):
    server.delay_s = 0.3
    server.refusals = 3
    done = at("logger.mode=auto", **stored)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_whole(server, tmp_path / "runs/default")
    assert all(run.used == ["study-default"] for run in server.runs.values())
    for mark in tmp_path.glob("runs/default/wandb/*/*.synced"):
        mark.unlink()
        break
    again = sync(tmp_path, server, **stored)
    assert (again.stdout.count(": unchanged"), again.stdout.count(": uploaded")) == (1, 1), again.stdout + again.stderr


def test_what_wandb_offline_has_written_keeps_workers_offline_too(at, server, tmp_path):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb/settings").write_text("[default]\nmode = offline\n")
    done = at("logger.mode=auto")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all_done(tmp_path / "runs/default")
    assert len(list(tmp_path.glob("runs/default/wandb/offline-run-*/run-*.wandb"))) == 2
    assert not server.asked


@pytest.mark.parametrize("trouble", ["no server", "wrong key"])
def test_without_a_server_that_takes_them_runs_are_kept_offline(at, server, trouble, tmp_path):
    if trouble == "no server":
        server.stop()
    done = at("logger.timeout_s=10", WANDB_API_KEY="b" * 40 if trouble == "wrong key" else KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all_done(tmp_path / "runs/default")
    assert "2 of the study's runs not uploaded, or not whole: memlaw sync" in done.stdout + done.stderr
    assert len(list(tmp_path.glob("runs/default/wandb/offline-run-*/run-*.wandb"))) == 2
    assert "is not mirrored" not in "".join(path.read_text() for path in tmp_path.glob("runs/default/logs/*.log"))
    assert not server.runs
    if trouble == "wrong key":
        synced = sync(tmp_path, server)
        assert synced.stdout.count(": uploaded") == 2, synced.stdout + synced.stderr
        assert_whole(server, tmp_path / "runs/default")


def test_a_server_that_dies_costs_no_cell_and_does_not_keep_the_process(at, server, tmp_path):
    server.dies_after = 0
    done = at("logger.timeout_s=10")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all_done(tmp_path / "runs/default")
    assert "2 of the study's runs not uploaded, or not whole: memlaw sync" in done.stdout + done.stderr
    assert "did not catch up within 20 s" in (tmp_path / "runs/default/logs/worker-0.log").read_text()
    assert not any(run.losses for run in server.runs.values())
    server.dies_after = None  # what W&B's own process left behind breaks off, so that the runs are told once more
    synced = sync(tmp_path, server)
    assert synced.stdout.count(": uploaded") == 2, synced.stdout + synced.stderr
    assert_whole(server, tmp_path / "runs/default")


def test_a_server_that_dies_in_the_middle_has_each_run_whole_after_sync(at, server, tmp_path):
    server.dies_after = 1
    done = at("logger.timeout_s=10", "steps=1500", **EACH_SECOND, WANDB_API_KEY=KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert any(run.losses for run in server.runs.values())
    server.dies_after = None
    synced = sync(tmp_path, server)
    assert synced.returncode == 0, synced.stdout + synced.stderr
    kept = runs_of(server, tmp_path / "runs/default")
    assert len(kept) == len(server.runs) == 2
    for name, run in kept.items():
        result = json.loads((tmp_path / "runs/default" / name / "result.json").read_text())
        rows = [(line["_step"], line["loss_nats"]) for line in run.lines.values() if "loss_nats" in line]
        assert len(set(rows)) == len(run.losses)  # a step that stands there twice has equal values
        assert max(run.losses) == 1500 and min(run.losses) == 0
        assert run.losses[1500] == pytest.approx(result["loss_nats"])
        assert run.summary["delta_loss_nats"] == pytest.approx(result["delta_loss_nats"])
        assert run.exit_code == 0
    assert sync(tmp_path, server).stdout.count(": unchanged") == 2


@pytest.fixture
def long(server: WandbServer, tmp_path: Path):
    """The command that trains a long cell, its environment, and its process, which has sent some of its history."""
    command = [sys.executable, "-m", "memlaw.train", *LONG, f"runs_dir={tmp_path}/runs"]
    environment = {**os.environ, "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, **EACH_SECOND}
    output = tmp_path / "output"
    with output.open("w") as log:
        first = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    wait_for(
        lambda: first.poll() is not None or any(max(run.losses, default=0) >= 100 for run in list(server.runs.values()))
    )
    assert first.poll() is None, output.read_text()
    yield command, environment, first
    if first.poll() is None:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()


def test_an_interrupted_cell_is_preempted(long, server):
    first = long[2]
    first.send_signal(signal.SIGTERM)
    first.wait(PATIENCE_S)
    (run,) = server.runs.values()
    assert run.exit_code == INTERRUPTED
    assert run.preempting


def test_a_killed_cell_is_not_finished_and_goes_on_without_repeating_a_step(long, server):
    command, environment, first = long
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    (run,) = server.runs.values()
    time.sleep(3)  # what is left of W&B's own process has time to say something wrong
    assert run.exit_code is None
    held = len(run.losses)
    second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert second.returncode == 0, second.stdout + second.stderr
    assert len(server.runs) == 1
    assert run.exit_code == 0, second.stdout + second.stderr
    assert max(run.losses) == 3000
    assert len(run.losses) > held
    assert run.steps == sorted(set(run.steps))
