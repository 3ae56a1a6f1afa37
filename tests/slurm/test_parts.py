"""The SLURM launcher's parts, without a Slurm."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import FAST, ROOT
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hydra_plugins.memlaw_launchers.slurm_job import TrainTask
from hydra_plugins.memlaw_launchers.slurm_options import SlurmOptions
from hydra_plugins.memlaw_launchers.slurm_queue import live_jobs, max_array_size, ranges
from hydra_plugins.memlaw_launchers.slurm_submission import Submission, submitted
from hydra_plugins.memlaw_launchers.slurm_tasks import (
    Task,
    by_number,
    by_seconds,
    seconds_per_task,
    split_arrays,
    start_within_s,
)
from omegaconf import OmegaConf

from memlaw.errors import ConfigError
from memlaw.files import write_json
from memlaw.heartbeat import SILENT_S

DEFAULTS = OmegaConf.to_container(OmegaConf.load(ROOT / "conf/hydra/launcher/slurm.yaml"))
CLUSTERS = sorted(path.stem for path in (ROOT / "conf/hydra/launcher").glob("slurm*.yaml"))


def stub(directory: Path, name: str, commands: str) -> None:
    (directory / name).write_text(f"#!/bin/sh\n{commands}\n")
    (directory / name).chmod(0o755)


def options(**own) -> SlurmOptions:
    assert isinstance(DEFAULTS, dict)
    return SlurmOptions(**{key: value for key, value in {**DEFAULTS, **own}.items() if key != "_target_"})


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_example_is_a_launcher_with_possible_options(name: str, monkeypatch):
    monkeypatch.setenv("MEMLAW_IMAGE", "/images/memlaw.sif")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[f"hydra/launcher={name}"], return_hydra_config=True)
    launcher = instantiate(cfg.hydra.launcher)
    assert set(cfg.hydra.launcher) == set(DEFAULTS)
    found = launcher.runner().options
    assert found.pack_memory_gb > 0 if name != "slurm" else found == options()
    if name == "slurm_container":
        assert found.python == ["apptainer", "exec", "--nv", "/images/memlaw.sif", "python3"]


def script(directory: Path, name: str, tasks: int) -> list[str]:
    """Lines of the script that the launcher `name` would submit."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[f"hydra/launcher={name}"], return_hydra_config=True)
    submission = Submission(directory / "my study/slurm/dry-run", instantiate(cfg.hydra.launcher).runner().options)
    return submission.write_scripts([range(tasks)])[0].read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("name", "asked", "never", "command"),
    [
        (
            "slurm_gpu_node",
            ["--array=0-19%8", "--gpus-per-node=1", "--cpus-per-task=12", "--mem=122880M", "--partition=gpu"],
            "--exclusive",
            "bin/python",
        ),
        ("slurm_preemptible", ["--requeue", "--time=120", "--partition=preemptible"], "--gres", "bin/python"),
        ("slurm_cpu", ["--partition=cpu", "--cpus-per-task=16", "--mem=65536M"], "--gpus", "bin/python"),
        (
            "slurm_container",
            ["--gpus-per-node=1"],
            "--partition",
            "apptainer exec --nv '/my images/memlaw.sif' python3",
        ),
    ],
)
def test_the_script_of_every_example(name, asked, never: str, command: str, tmp_path: Path, monkeypatch):
    stub(tmp_path, "srun", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("MEMLAW_IMAGE", "/my images/memlaw.sif")
    monkeypatch.setattr("sys.executable", "/env/bin/python")
    lines = script(tmp_path, name, 20)
    assert {f"#SBATCH {option}" for option in (*asked, "--requeue", "--signal=USR2@120", "--nodes=1")} <= set(lines)
    assert not any(never in line or "wckey" in line for line in lines)
    assert f"#SBATCH --output='{tmp_path}/my study/slurm/dry-run/%A_%a_0_log.out'" in lines
    (srun,) = (line for line in lines if line.startswith("srun "))
    assert f"{command} -u -m submitit.core._submit '{tmp_path}/my study/slurm/dry-run'" in srun


def test_no_shell_runs_what_names_and_options_hold(tmp_path: Path, monkeypatch):
    for command in ("srun", "python"):
        stub(tmp_path, command, f'printf "%s\\n" "$@" >> {tmp_path}/told')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    evil = "a'b\"; touch ran; $(touch ran) `touch ran` #"
    own = options(gpus=0, partition=evil, additional={"comment": evil}, srun_args=[evil], python=["python", evil])
    study = tmp_path / evil
    (path,) = Submission(study / "slurm/dry-run", own).write_scripts([range(1)])
    subprocess.run(["bash", str(path)], check=True, cwd=tmp_path)
    assert not (tmp_path / "ran").exists()
    told = (tmp_path / "told").read_text().splitlines()
    assert told.count(evil) == 2
    assert str(study / "slurm/dry-run") in told


def test_options_become_what_sbatch_is_told():
    asked = options(
        partition="gpu", gpus="a100:1", mem_gb=1.5, setup=["module load cuda"], additional={"mail-type": "END"}
    ).parameters("memlaw-default", 4, ["/my code"])
    assert asked["partition"] == "gpu"
    assert asked["gpus_per_node"] == "a100:1"
    assert asked["mem"] == "1536M"
    assert asked["array_parallelism"] == 4
    assert asked["additional_parameters"] == {"requeue": True, "mail-type": "END"}
    assert asked["setup"] == [
        "export PYTHONPATH='/my code'${PYTHONPATH:+:$PYTHONPATH}",
        "export OMP_NUM_THREADS=8",
        "module load cuda",
    ]
    assert asked["srun_args"] == ["--cpus-per-task=8"]
    assert "account" not in asked
    assert not any(line.startswith("export PYTHONPATH") for line in options().parameters("n", 1, [])["setup"])
    assert "gpus_per_node" not in options(gpus=0).parameters("n", 1, [])


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"gpus": 8}, r"hydra\.launcher\.gpus=8 is none of 0, 1"),
        ({"cpus": 0}, r"hydra\.launcher\.cpus=0 is not a whole number of at least 1"),
        ({"mem_gb": "lots"}, r"hydra\.launcher\.mem_gb=lots is not a number above 0"),
        ({"timeout_min": 3}, r"hydra\.launcher\.timeout_min=3 leaves no time to train"),
        ({"packs_per_task": "many"}, r"hydra\.launcher\.packs_per_task=many"),
        ({"additional": {"--mail-type": "END"}}, "--mail-type is no option of sbatch"),
        ({"partition": "a\nrm -r x"}, r"partition='a\\nrm -r x' is not a text of one line"),
        ({"partition": ["a"]}, r"partition=\['a'\] is not a text of one line"),
        ({"additional": {"comment": "a\nrm -r x"}}, "comment=.* is not a text of one line"),
        ({"additional": None}, r"hydra\.launcher\.additional=None does not name options"),
        ({"additional": {"array": "1-5"}}, r"array is the launcher's own: it decides that"),
        ({"additional": {"time": "1"}}, r"time is the launcher's own: signal_delay_s and timeout_min"),
        ({"setup": "module load cuda"}, r"hydra\.launcher\.setup=module load cuda is not a list of texts"),
        ({"setup": None}, r"hydra\.launcher\.setup=None is not a list of texts"),
        ({"srun_args": "-n1"}, r"hydra\.launcher\.srun_args=-n1 is not a list of texts"),
        ({"python": "python3"}, r"hydra\.launcher\.python=python3 is not a list of texts"),
        ({"wait": "maybe"}, r"hydra\.launcher\.wait=maybe is neither true nor false"),
    ],
)
def test_impossible_options_name_their_key(own: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        options(**own)


def test_an_unknown_option_is_told_beside_the_known_ones():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        overrides = ["hydra/launcher=slurm", "+hydra.launcher.partitoin=gpu"]
        cfg = compose("config", overrides=overrides, return_hydra_config=True)
    with pytest.raises(ConfigError, match=r"hydra\.launcher: partitoin is none of account, additional"):
        instantiate(cfg.hydra.launcher).runner()


def test_a_broken_list_of_jobs_is_named(tmp_path: Path):
    (tmp_path / "slurm/2026").mkdir(parents=True)
    (tmp_path / "slurm/2026/jobs.json").write_text("{")
    with pytest.raises(ConfigError, match=r"jobs\.json cannot be read .* move its directory away"):
        submitted(tmp_path)


def test_the_memory_of_a_pack_is_that_of_the_job_and_not_of_this_machine():
    assert options(gpus=0, mem_gb=8).pack_memory_gb == 4
    assert options(gpu_memory_gb=80).pack_memory_gb == 64
    with pytest.raises(ConfigError, match=r"give pack\.memory_gb, or hydra\.launcher\.gpu_memory_gb"):
        _ = options().pack_memory_gb
    with pytest.raises(ConfigError, match=r"give pack\.memory_gb, or hydra\.launcher\.mem_gb"):
        _ = options(gpus=0, mem_gb=None).pack_memory_gb


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


def test_jobs_that_are_ending_are_not_live(tmp_path: Path, monkeypatch):
    stub(tmp_path, "squeue", 'echo "$*" | tr " " "\\n" | grep states')
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert live_jobs() == {"--states=PENDING,RUNNING,SUSPENDED"}


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


def test_the_limit_is_read_from_scontrol():
    shown = "Configuration data as of 2026-01-01\nMaxArraySize            = 10001\nMaxJobCount  = 20000\n"
    assert max_array_size(shown) == 10001
    assert max_array_size("") == 1001


def test_jobs_are_told_in_ranges():
    assert ranges(["12_0", "12_1", "12_2", "13"]) == "12_[0-2], 13"


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

    monkeypatch.setattr("memlaw.pack.train_pack", held_once)
    monkeypatch.setattr("hydra_plugins.memlaw_launchers.slurm_job.RETRY_S", 0.01)
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

    monkeypatch.setattr("memlaw.pack.train_pack", signalled)
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


def test_without_a_sweep_or_a_slurm_it_is_said_what_to_do(train, tmp_path: Path):
    single = train(*FAST, "hydra/launcher=slurm")
    assert single.returncode == 2
    assert "hydra/launcher=slurm launches a sweep: add -m" in single.stderr
    asked = ["-m", *FAST, "hydra/launcher=slurm", "hydra.launcher.gpus=0"]
    nowhere = train(*asked, PATH=str(tmp_path))
    assert nowhere.returncode == 2
    assert "there is no scontrol here" in nowhere.stderr
    assert "with hydra.launcher.gpus=1 a job has cuda" in train(*asked, "hydra.launcher.gpus=1").stderr
