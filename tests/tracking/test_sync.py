import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rows import write_row

from memlaw.sync import local_runs
from memlaw.tracking.contents import run_id
from memlaw.tracking.tracker import Tracker
from memlaw.tracking.wandb_service import WandbService
from tests.wandb_server import KEY

STEPS = (0, 1, 2, 5, 10)


@pytest.fixture
def study(tiny, request):
    """Cells of three ranks, each with an offline run."""
    name = re.sub(r"\W+", "_", request.node.name)
    cells = [tiny(f"lora.rank={rank}", f"study={name}")[0] for rank in (1, 2, 3)]
    for cell in cells:
        cell.plan()
        write_row(cell.paths.directory)
        cell.set_status("done")
    record(cells, STEPS)
    return cells


def record(cells, steps) -> None:
    """An offline run of each cell, as training writes it, that ends with the last of the steps."""
    tracker = Tracker(WandbService("offline", "project", "me", 60, 0))
    for cell in cells:
        mirror = tracker.start(cell)
        for step in steps:
            stubborn = 8 if step < steps[-1] else None
            mirror.log(step, {"loss_nats": 1.0 / (1 + step), "first_stubborn": stubborn}, np.ones(3))
        mirror._end(lambda run: run.finish({"delta_loss_nats": 1.5}))
    tracker.drain()


def sync(study: Path, url: str, *arguments: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WANDB_BASE_URL": url, "WANDB_API_KEY": key}
    environment.pop("WANDB_MODE", None)
    command = [sys.executable, "-m", "memlaw.sync", str(study), *arguments]
    elsewhere = study.parent.parent / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=240)
    assert not list(elsewhere.iterdir())
    return done


def test_each_run_is_uploaded_once_and_again_only_after_a_change(study, server):
    first = sync(study[0].study, server.url)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout.count(": uploaded") == 3
    assert set(server.runs) == {run_id(cell) for cell in study}
    for cell in study:
        kept = server.runs[run_id(cell)]
        assert kept.steps == list(STEPS)
        assert kept.losses == {step: pytest.approx(1 / (1 + step)) for step in STEPS}
        assert kept.summary["delta_loss_nats"] == 1.5
        assert kept.summary["loss_nats"] == kept.losses[STEPS[-1]]
        assert kept.summary.get("first_stubborn") is None
        assert kept.config["rank"]["value"] == cell.config.lora.rank
        assert kept.exit_code == 0
    asked = len(server.asked)
    again = sync(study[0].study, server.url)
    assert again.returncode == 0
    assert again.stdout.count(": unchanged") == 3
    assert len(server.asked) == asked

    time.sleep(1.1)  # a second directory of the same run: its name holds the second it began in
    record(study[:1], (*STEPS, 20))
    assert sorted(len(run.directories) for run in local_runs(study[0].study)) == [1, 1, 2]
    last = sync(study[0].study, server.url)
    assert last.stdout.count(": uploaded") == 1, last.stdout + last.stderr
    assert len(server.runs) == 3
    assert server.runs[run_id(study[0])].losses == {step: pytest.approx(1 / (1 + step)) for step in (*STEPS, 20)}


def test_interrupted_and_repeated_it_leaves_one_run_per_cell(study, server):
    server.dies_after = 1
    broken = sync(study[0].study, server.url, "--jobs=3", "--timeout=15")
    assert broken.returncode == 1
    assert "failed: " in broken.stdout
    server.dies_after = None
    repeated = sync(study[0].study, server.url)
    assert repeated.returncode == 0, repeated.stdout + repeated.stderr
    losses = {step: pytest.approx(1 / (1 + step)) for step in STEPS}
    assert {name: kept.losses for name, kept in server.runs.items()} == {run_id(cell): losses for cell in study}
    assert all(kept.exit_code == 0 for kept in server.runs.values())


def test_too_many_requests_are_waited_out(study, server):
    server.refusals = 3
    done = sync(study[0].study, server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(server.runs) == 3


@pytest.mark.parametrize("trouble", ["wrong key", "no key", "no server"])
def test_what_no_run_can_do_about_is_one_error(study, server, trouble, monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    key = {"wrong key": "b" * 40, "no key": ""}.get(trouble, KEY)
    if trouble == "no server":
        server.stop()
    began = time.monotonic()
    done = sync(study[0].study, server.url, key=key)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert server.url in line
    assert time.monotonic() - began < 120
    assert not server.runs


@pytest.mark.parametrize("state", ["pending", "done"])
def test_a_log_that_breaks_off_is_not_uploaded_while_its_cell_is_to_be_trained_on(study, server, state):
    first = local_runs(study[0].study)[0]
    (cell,) = (cell for cell in study if run_id(cell) == first.id)
    cell.set_status(state)
    (log,) = first.directories[0].glob("*.wandb")
    log.write_bytes(log.read_bytes()[:-200])  # as a kill leaves it
    done = sync(study[0].study, server.url)
    if state == "done":  # nothing will complete it
        assert done.returncode == 1 and f"{cell.name}: failed: uploaded as far as it goes" in done.stdout
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{cell.name}: not uploaded: its cell is to be trained on" in done.stdout
    assert first.id not in server.runs
    early = sync(study[0].study, server.url, "--unfinished")
    assert early.returncode == 0, early.stdout + early.stderr
    assert early.stdout.count(": uploaded as far as it goes") == 1
    steps = server.runs[first.id].steps
    assert steps and steps == sorted(set(steps))


def test_a_run_in_training_is_left_alone(study, server):
    study[0].start()
    done = sync(study[0].study, server.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{study[0].name}: still training" in done.stdout
    assert set(server.runs) == {run_id(cell) for cell in study[1:]}


def test_what_is_no_study_is_said(tmp_path, server):
    done = sync(tmp_path, server.url)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr


def test_the_order_of_directories_is_that_of_time(tmp_path):
    for name in ("run-20260102_000000-a-b", "offline-run-20260101_000000-a-b"):
        (tmp_path / "wandb" / name).mkdir(parents=True)
        (tmp_path / "wandb" / name / "run-a-b.wandb").touch()
    (run,) = local_runs(tmp_path)
    assert run.id == "a-b"
    assert [path.name[:3] for path in run.directories] == ["off", "run"]
