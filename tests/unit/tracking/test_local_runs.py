import os
import re
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.offline_runs import recorded_study

from memlaw.tracking.contents import run_id
from memlaw.tracking.local_runs import local_runs, read_log
from memlaw.tracking.tracker import Tracker
from memlaw.tracking.wandb_service import WandbService, finish_run


@pytest.fixture
def study(tiny, request):
    """Cells of three ranks, each with an offline run."""
    name = re.sub(r"\W+", "_", request.node.name)
    return recorded_study(tiny, name)


def test_a_log_says_where_its_run_belongs_and_whether_it_ended(study):
    run = local_runs(study[0].study)[0]
    log = run.log(run.directories[0])
    assert read_log(log) == ("project", "me", True)
    content = log.read_bytes()
    for size in (5, len(content) // 2, len(content) - 20):
        log.write_bytes(content[:size])
        assert not read_log(log).ended
    log.write_bytes(content[:400] + b"???" + content[403:])  # broken in the middle
    assert not read_log(log).ended


def test_a_run_that_ended_before_its_cell_was_done_is_none_of_a_done_cell(study):
    mirror = (tracker := Tracker(WandbService("offline", "project", "me", timeout_s=60, stagger_s=0))).start(study[0])
    mirror.log(0, {"loss_nats": 1.0}, np.ones(3))
    mirror.fail()
    tracker.drain()
    run = next(run for run in local_runs(study[0].study) if run.id == run_id(study[0]))
    assert not run.ended


def test_the_order_of_directories_is_that_of_time(tmp_path):
    for name in ("run-20260102_000000-a-b", "offline-run-20260101_000000-a-b"):
        (tmp_path / "wandb" / name).mkdir(parents=True)
        (tmp_path / "wandb" / name / "run-a-b.wandb").touch()
    (run,) = local_runs(tmp_path)
    assert run.id == "a-b"
    assert [path.name[:3] for path in run.directories] == ["off", "run"]


def test_a_log_whose_end_is_written_a_moment_later_has_not_changed(tmp_path: Path):
    directory = tmp_path / "wandb" / "run-20260101_000000-a"
    directory.mkdir(parents=True)
    log = directory / "run-a.wandb"
    log.write_bytes(b"most of it")
    finish_run(SimpleNamespace(finish=lambda: None, offline=False, settings=SimpleNamespace(sync_file=str(log))))
    log.write_bytes(b"all of it")
    later = time.time() + 0.01
    os.utime(log, (later, later))
    (run,) = local_runs(tmp_path)
    assert not run.changed
    os.utime(log, (later + 60, later + 60))
    assert run.changed
