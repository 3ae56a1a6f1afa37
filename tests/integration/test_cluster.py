"""Sweeps through a real Slurm: equal to local ones, preempted, cancelled, repaired, refused."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import TypeVar

import numpy as np
import pytest
from helpers.cluster import MAX_ARRAY_SIZE, Cluster, missing, running_cluster
from helpers.configs import FAST, TINY
from helpers.processes import PATIENCE_S, python, wait_for
from helpers.study_files import statuses

from memlaw.backends.slurm.tasks import Task
from memlaw.study.records import read_results, read_tokens
from memlaw.training.checkpoint import step_of

SLURM = [
    "hydra/launcher=slurm",
    "hydra.launcher.gpus=0",
    "hydra.launcher.cpus=1",
    "hydra.launcher.mem_gb=2",
    "hydra.launcher.packs_per_task=1",
]
WAIT = [*SLURM, "hydra.launcher.wait=true"]
LONG = ["-m", *TINY, "steps=4000", "stop.when_recalled=false", "seq_len=8"]
"""A sweep that takes long enough to be disturbed."""

pytestmark = pytest.mark.slow
T = TypeVar("T")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    lacking = missing()
    if lacking and not os.environ.get("MEMLAW_REQUIRE_SLURM"):
        pytest.skip(f"no Slurm to test against: lacks {', '.join(lacking)}")
    assert not lacking, f"MEMLAW_REQUIRE_SLURM is set, but this machine lacks {', '.join(lacking)}"
    with running_cluster() as started:
        yield started


@pytest.fixture
def submit(train, cluster: Cluster) -> Callable[..., CompletedProcess[str]]:
    return partial(train, **cluster.environment)


def _statuses(root: Path) -> dict[str, dict]:
    return statuses(root / "runs/default")


def _logs(root: Path) -> str:
    return "".join(path.read_text() for path in root.glob("runs/default/slurm/*/*_log.out"))


def _wait_for(condition: Callable[[], T], root: Path) -> T:
    return wait_for(condition, lambda: f"waited in vain; {_statuses(root)}\n{_logs(root)}")


def _training(root: Path) -> bool:
    """Whether a cell has taken steps, so that it has something to lose."""
    return any(status["state"] == "running" and status.get("step", 0) > 0 for status in _statuses(root).values())


def _begun(root: Path) -> list[str]:
    """Cells that train and have most of their steps before them."""
    return [
        name
        for name, status in _statuses(root).items()
        if status["state"] == "running" and 0 < status.get("step", 0) < status["total_steps"] / 4
    ]


def _job_of(cell: str, jobs: Path) -> str:
    """The job that trains a cell, given what its submission remembers."""
    tasks = {job: Task.read(jobs.parent / "tasks" / name) for job, name in json.loads(jobs.read_text()).items()}
    return next(job for job, task in tasks.items() if any(cell in pack for pack in task.packs))


def _finished(root: Path) -> bool:
    return all(status["state"] in ("done", "failed") for status in _statuses(root).values())


NINE = ["-m", *TINY, "steps=4000", "stop.when_recalled=false", "lora.rank=1,2,4", "seq_len=8,16,24"]
NINE += ["pack.max_cells=2", "checkpoint.every_min=0.05"]


@dataclass(frozen=True)
class Disturbed:
    """A sweep of nine cells that was preempted, then lost a job to `scancel`, and was then repaired.

    Attributes:
        root: the directory in which all commands ran.
        queued, again, repaired: the sweep; the same while it was queued; and the one that repaired it.
        jobs: what Slurm called the tasks of the first.
        left: the cells that were not done before the repair.
        dead: the cells that `memlaw status` called dead then.
    """

    root: Path
    queued: CompletedProcess[str]
    again: CompletedProcess[str]
    jobs: list[str]
    left: set[str]
    dead: set[str]
    repaired: CompletedProcess[str]


@pytest.fixture(scope="module")
def disturbed(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    root = tmp_path_factory.mktemp("disturbed")
    run = partial(python, "-m", cwd=root, **cluster.environment)
    queued = run("memlaw.train", *NINE, *SLURM)
    assert queued.returncode == 0, queued.stdout + queued.stderr
    again = run("memlaw.train", *NINE, *SLURM)
    (jobs,) = root.glob("runs/default/slurm/*/jobs.json")

    _wait_for(lambda: _training(root), root)
    cluster.ask("sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    _wait_for(lambda: "Requeued job" in _logs(root), root)
    _wait_for(lambda: any((s["attempt"], s["state"]) == (2, "done") for s in _statuses(root).values()), root)
    cluster.ask("scancel", _job_of(_wait_for(lambda: _begun(root), root)[0], jobs))
    _wait_for(lambda: not cluster.ask("squeue", "--noheader"), root)

    left = {name for name, status in _statuses(root).items() if status["state"] != "done"}
    shown = json.loads(run("memlaw.status", "runs/default", "--json").stdout)["cells"]
    dead = {cell["cell"] for cell in shown if cell["state"] == "dead"}
    ids = list(json.loads(jobs.read_text()))
    return Disturbed(root, queued, again, ids, left, dead, run("memlaw.train", *NINE, *WAIT, "rerun=stale"))


def test_a_sweep_is_queued_as_arrays_that_slurm_takes(disturbed: Disturbed):
    assert "9 cells to train in 6 packs" in disturbed.queued.stdout
    assert "6 tasks queued" in disturbed.queued.stdout
    assert "squeue --jobs=" in disturbed.queued.stdout
    assert "memlaw status" in disturbed.queued.stdout
    assert len({job.split("_")[0] for job in disturbed.jobs}) == 2, "six tasks are too many for one array here"
    assert all(int(job.split("_")[1]) < MAX_ARRAY_SIZE for job in disturbed.jobs)


def test_what_is_queued_is_not_queued_twice(disturbed: Disturbed):
    assert disturbed.again.returncode == 0
    assert "9 cells queued already, and left to these jobs" in disturbed.again.stdout


def test_a_preempted_task_is_requeued_and_finishes(disturbed: Disturbed):
    assert "Requeued job" in _logs(disturbed.root)
    undisturbed = [status for name, status in _statuses(disturbed.root).items() if name not in disturbed.left]
    assert max(status["attempt"] for status in undisturbed) == 2


def test_the_cells_of_a_cancelled_job_are_dead_and_no_others(disturbed: Disturbed):
    assert 1 <= len(disturbed.left) <= 2
    assert disturbed.dead == disturbed.left


def test_only_the_cells_of_a_cancelled_job_are_trained_again(disturbed: Disturbed):
    assert disturbed.repaired.returncode == 0, disturbed.repaired.stdout + disturbed.repaired.stderr
    assert "1 task queued" in disturbed.repaired.stdout
    assert {status["state"] for status in _statuses(disturbed.root).values()} == {"done"}


def test_disturbed_cells_have_the_numbers_of_a_local_sweep(disturbed: Disturbed, train, tmp_path: Path):
    local = train(*NINE)
    assert local.returncode == 0, local.stderr
    studies = [root / "runs/default" for root in (disturbed.root, tmp_path)]
    names = [set(read_results(study)["cell"]) for study in studies]
    assert len(names[0]) == 9
    assert names[0] == names[1]
    for name in names[0]:
        ours, theirs = (read_tokens(study / name / "tokens.parquet") for study in studies)
        assert ours["step"].tolist() == theirs["step"].tolist()
        np.testing.assert_allclose(np.exp(-ours["nll"]), np.exp(-theirs["nll"]), rtol=0, atol=1e-4)


def test_a_task_that_is_killed_is_told_and_repaired_by_the_same_command(cluster: Cluster, submit, tmp_path: Path):
    command = [sys.executable, "-m", "memlaw.train", *LONG, "lora.rank=1", *WAIT]
    environment = {**os.environ, **cluster.environment, "COLUMNS": "160"}
    waiting = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    _wait_for(lambda: _training(tmp_path), tmp_path)
    (status,) = _statuses(tmp_path).values()
    os.kill(status["pid"], signal.SIGKILL)  # as for lack of memory
    shown, _ = waiting.communicate(timeout=PATIENCE_S)
    assert waiting.returncode == 1, shown
    assert "1 cell unfinished, and no job of this sweep is left" in shown
    assert "Traceback" not in shown
    repaired = submit(*LONG, "lora.rank=1", *WAIT)
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr + _logs(tmp_path)
    assert [status["state"] for status in _statuses(tmp_path).values()] == ["done"]


def test_a_task_out_of_time_is_queued_again_and_goes_on(cluster: Cluster, submit, tmp_path: Path):
    long = ["-m", *TINY, "steps=200000", "stop.when_recalled=false", "seq_len=8", "lora.rank=1", "eval.per_decade=2"]
    limits = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=45", "hydra.launcher.requeues=20"]
    queued = submit(*long, *SLURM, *limits)
    assert queued.returncode == 0, queued.stdout + queued.stderr

    def status() -> dict:
        return next(iter(_statuses(tmp_path).values()))

    _wait_for(lambda: status()["attempt"] == 2, tmp_path)
    (checkpoint,) = tmp_path.glob("runs/default/*/checkpoint.safetensors")
    written = step_of(checkpoint)
    _wait_for(lambda: status()["state"] == "running" and status().get("step"), tmp_path)
    assert status()["step"] >= written > 0
    cluster.ask("scancel", "--name=memlaw-default")
    _wait_for(lambda: not cluster.ask("squeue", "--noheader"), tmp_path)


def test_what_is_queued_stays_as_it_was_and_goes_on_after_slurms_own_requeue(cluster: Cluster, submit, tmp_path: Path):
    mine = tmp_path / "my/experiment/mine.yaml"
    mine.parent.mkdir(parents=True)
    mine.write_text("# @package _global_\noptimizer: {lr: 0.001}\n")
    own = [f"hydra.searchpath=[file://{tmp_path}/my]", "experiment=mine", "checkpoint.every_min=0.02"]
    queued = submit(*LONG, "lora.rank=1", *own, *SLURM, "+hydra.launcher.additional.hold=true")
    assert queued.returncode == 0, queued.stdout + queued.stderr
    mine.write_text("# @package _global_\noptimizer: {lr: 0.5}\n")
    (jobs,) = tmp_path.glob("runs/default/slurm/*/jobs.json")
    (job,) = json.loads(jobs.read_text())
    cluster.ask("scontrol", "release", job)
    _wait_for(lambda: list(tmp_path.glob("runs/default/*/checkpoint.safetensors")), tmp_path)
    cluster.ask("scontrol", "requeue", job)  # as after a lost node: no signal of its own comes first
    _wait_for(lambda: _finished(tmp_path), tmp_path)
    (status,) = _statuses(tmp_path).values()
    assert (status["state"], status["attempt"]) == ("done", 2)
    (row,) = read_results(tmp_path / "runs/default").to_dict("records")
    assert row["optimizer.lr"] == 0.001


def test_the_doctor_sends_a_job_that_sees_the_runs_directory(cluster: Cluster, tmp_path: Path):
    words = ["--job", *TINY, "hydra/launcher=slurm"]
    shown = python("-m", "memlaw.doctor", *words, cwd=tmp_path, **cluster.environment, COLUMNS="200")
    assert "a job sees runs" in shown.stdout, shown.stdout + shown.stderr
    assert "jobs get a signal first" in shown.stdout


def test_a_refusal_of_sbatch_is_an_error_in_its_own_words(submit, tmp_path: Path):
    refused = submit("-m", *FAST, "seq_len=8", *SLURM, "hydra.launcher.partition=nonsense")
    assert refused.returncode == 2
    assert "Invalid partition name specified" in refused.stderr
    assert refused.stderr.count("invalid partition specified: nonsense") == 1
    assert "Traceback" not in refused.stdout + refused.stderr


def test_a_dry_run_prints_a_script_that_sbatch_takes(cluster: Cluster, submit, tmp_path: Path):
    shown = submit("-m", *FAST, "seq_len=8,16", *SLURM, "dry_run=true", "hydra.launcher.array_parallelism=1")
    assert shown.returncode == 0, shown.stderr
    (script,) = tmp_path.glob("runs/default/slurm/dry-run/*.sh")
    assert script.read_text() in shown.stdout
    assert "#SBATCH --array=0-1%1" in shown.stdout
    assert not _statuses(tmp_path)
    cluster.ask("sbatch", "--test-only", str(script))
