"""The Slurm backend, without a Slurm."""

from pathlib import Path

import pytest
from helpers.configs import FAST
from helpers.processes import stub
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from memlaw.backends.slurm.commands import PROGRAMS
from memlaw.backends.slurm.submission import Submission
from memlaw.core.errors import ConfigError
from memlaw.core.paths import config_dir
from memlaw.planning.machine import Machine
from memlaw.planning.make_plan import make_plan


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
