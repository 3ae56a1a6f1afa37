"""The SLURM launcher's tasks, submissions and jobs, without a Slurm."""

import os
import signal
import time
from pathlib import Path

import pytest
from helpers.configs import FAST
from helpers.processes import stub
from helpers.slurm_options import options
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from memlaw.backends.slurm.commands import PROGRAMS
from memlaw.backends.slurm.job import TrainTask
from memlaw.backends.slurm.submission import Submission
from memlaw.backends.slurm.tasks import (
    Task,
    by_number,
    by_seconds,
    seconds_per_task,
    split_arrays,
    start_within_s,
    submitted,
)
from memlaw.core.errors import ConfigError
from memlaw.core.files import write_json
from memlaw.core.paths import config_dir
from memlaw.planning.machine import Machine
from memlaw.planning.make_plan import make_plan
from memlaw.study.liveness import SILENT_S


@pytest.mark.parametrize("content", ["{", "[]", '{"1": 2}'])
def test_a_broken_list_of_jobs_is_named(tmp_path: Path, content: str):
    (tmp_path / "slurm/2026").mkdir(parents=True)
    (tmp_path / "slurm/2026/jobs.json").write_text(content)
    with pytest.raises(ConfigError, match=r"jobs\.json cannot be read .* move its directory away"):
        submitted(tmp_path)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"study": "s"}'])
def test_a_broken_task_is_named(tmp_path: Path, content: str | None):
    if content is not None:
        (tmp_path / "00000.json").write_text(content)
    with pytest.raises(ConfigError, match=r"00000\.json is not a task .*; cancel its job"):
        Task.read(tmp_path / "00000.json")


def slurm_backend(**options):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        overrides = [f"hydra.launcher.{key}={value}" for key, value in options.items()]
        cfg = compose("config", ["hydra/launcher=slurm_cpu", *overrides], return_hydra_config=True)
    return instantiate(cfg.hydra.launcher).backend()


def test_arrays_share_the_tasks_at_a_time_and_are_refused_where_there_are_more(tmp_path: Path, monkeypatch):
    stub(tmp_path, "scontrol", "echo MaxArraySize = 4")
    stub(tmp_path, "srun", "")  # submitit looks whether it is there
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    slurm = slurm_backend(array_parallelism=5)
    arrays = slurm._arrays(list(range(9)))
    assert [len(array) for array in arrays] == [3, 3, 3]
    submission = Submission(tmp_path / "s/slurm/x", slurm.options)
    parallel = [submission._executor(arrays, number).parameters["array_parallelism"] for number in range(3)]
    assert parallel == [2, 2, 1]
    with pytest.raises(ConfigError, match=r"array_parallelism=2 is less than 3, .* that 9 tasks need"):
        slurm_backend(array_parallelism=2)._arrays(list(range(9)))


def test_a_study_whose_name_slurm_would_read_is_refused(tiny):
    cell, cfg = tiny("study='50%j'")
    plan = make_plan([cell], cfg, Machine("cpu", int(1e9), 1))
    with pytest.raises(ConfigError, match="holds a %"):
        slurm_backend()._tasks(plan, cfg)


def test_packs_fill_tasks():
    assert by_number("abcde", 2) == [["a", "b"], ["c", "d"], ["e"]]
    assert by_seconds("abcde", [1, 1, 1, 5, 1], 3) == [["a", "b", "c"], ["d"], ["e"]]
    assert by_seconds("ab", [0, 0], 3) == [["a", "b"]]
    assert seconds_per_task(240, measured=True) == 600
    assert seconds_per_task(20, measured=True) == 300
    assert seconds_per_task(240, measured=False) == 60


@pytest.mark.parametrize(
    ("tasks", "limit", "lengths"), [(9, 10, [9]), (10, 10, [10]), (11, 10, [6, 5]), (3, 1, [1, 1, 1]), (2, 0, [1, 1])]
)
def test_arrays_keep_their_last_index_below_the_limit(tasks: int, limit: int, lengths: list[int]):
    arrays = split_arrays(range(tasks), limit)
    assert [len(array) for array in arrays] == lengths
    assert [task for array in arrays for task in array] == list(range(tasks))


def test_a_crowd_of_tasks_spreads_its_start_and_a_few_do_not_wait():
    assert start_within_s(8) == 0
    assert start_within_s(40) == 10
    assert start_within_s(1000) == 30


def test_a_job_that_submits_hands_on_the_users_wishes_and_not_its_own_limits(tmp_path: Path, monkeypatch):
    stub(tmp_path, "srun", "")
    stub(tmp_path, "sbatch", f"env > {tmp_path}/seen; echo Submitted batch job 7")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    kept = {"SLURM_CONF": "/etc/my.conf", "SBATCH_ACCOUNT": "mine"}
    for name, value in {**kept, "SLURM_MEM_PER_CPU": "100", "SLURM_JOB_ID": "1"}.items():
        monkeypatch.setenv(name, value)
    submission = Submission(tmp_path / "study/slurm/now", options(gpus=0))
    task = Task(str(tmp_path), [["a"]], {})
    assert submission.submit([submission.write_tasks([task])]) == ["7"]
    assert submitted(tmp_path / "study") == {"7": submission.directory / "tasks/00000.json"}
    seen = dict(line.partition("=")[::2] for line in (tmp_path / "seen").read_text().splitlines())
    assert {name: value for name, value in seen.items() if name.startswith(("SLURM", "SBATCH"))} == kept
    assert os.environ["SLURM_JOB_ID"] == "1"


def test_task_files_say_what_is_queued(tmp_path: Path):
    task = Task(str(tmp_path), [["a", "b"], ["c"]], {"trainer": {"device": "cpu"}})
    path = tmp_path / "slurm/2026/tasks/00000.json"
    task.write(path)
    write_json(tmp_path / "slurm/2026/jobs.json", {"7_0": "00000.json"})
    assert submitted(tmp_path) == {"7_0": path}
    assert Task.read(path) == task


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


@pytest.mark.slow
def test_slurms_variables_change_nothing(train, tmp_path: Path):
    fake = {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "sweep",
        "SLURM_NTASKS": "8",
        "SLURM_NTASKS_PER_NODE": "8",
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "node[1-4]",
        "SLURM_PROCID": "3",
        "SLURM_LOCALID": "3",
        "SLURM_NODEID": "0",
        "SLURM_ARRAY_JOB_ID": "1",
        "SLURM_ARRAY_TASK_ID": "2",
    }
    assert train(*FAST, "seq_len=8", "study=plain").returncode == 0
    inside = train(*FAST, "seq_len=8", "study=slurm", **fake)
    assert inside.returncode == 0, inside.stderr
    files = [
        {str(path.relative_to(tmp_path / "runs" / study)) for path in (tmp_path / "runs" / study).glob("random*/*")}
        for study in ("plain", "slurm")
    ]
    assert files[0] == files[1]


SWEEP = ("-m", *FAST, "hydra/launcher=slurm")


def test_without_a_sweep_it_is_said_what_to_do(refused):
    assert refused(*FAST, "hydra/launcher=slurm").startswith("hydra/launcher=slurm launches a sweep: add -m")


def test_a_device_that_the_job_does_not_have_is_refused(refused):
    assert "with hydra.launcher.gpus=1 a job has cuda" in refused(*SWEEP, "hydra.launcher.gpus=1")


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize("missing", [*PROGRAMS, PROGRAMS])
def test_each_program_of_slurm_that_is_missing_is_named_before_a_cell_is_planned(
    refused, tmp_path: Path, monkeypatch, missing, dry_run: bool
):
    absent = [missing] if isinstance(missing, str) else list(missing)
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        if name not in absent:
            stub(tmp_path / "bin", name, "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    said = refused(*SWEEP, "hydra.launcher.gpus=0", f"dry_run={dry_run}")
    assert said.startswith(
        f"hydra/launcher=slurm: no {', '.join(absent)} on PATH of this machine, from which jobs are submitted; install"
    )
    assert not list(tmp_path.glob("runs/default/*/"))
