"""What a SLURM job asks for: options, examples of clusters, and the scripts that come of them."""

import os
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from helpers.checkout import ROOT
from helpers.processes import stub
from helpers.slurm_options import DEFAULTS, options
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from memlaw.backends.slurm.submission import Submission
from memlaw.core.errors import ConfigError

CLUSTERS = sorted(path.stem for path in (ROOT / "conf/hydra/launcher").glob("slurm*.yaml"))


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_example_is_a_launcher_with_possible_options(name: str, monkeypatch):
    monkeypatch.setenv("MEMLAW_IMAGE", "/images/memlaw.sif")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[f"hydra/launcher={name}"], return_hydra_config=True)
    launcher = instantiate(cfg.hydra.launcher)
    assert set(cfg.hydra.launcher) == set(DEFAULTS)
    found = launcher.backend().options
    assert found.pack_ram_gb > 0 if name != "slurm" else asdict(found) == asdict(options())
    if name == "slurm_container":
        assert found.python == ["apptainer", "exec", "--nv", "/images/memlaw.sif", "python3"]


def script(directory: Path, name: str, tasks: int) -> list[str]:
    """Lines of the script that the launcher `name` would submit."""
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", overrides=[f"hydra/launcher={name}"], return_hydra_config=True)
    submission = Submission(directory / "my study/slurm/dry-run", instantiate(cfg.hydra.launcher).backend().options)
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
    off = options(additional={"reservation": None, "exclusive": False, "nice": 0, "hold": True})
    assert off.parameters("n", 1, [])["additional_parameters"] == {"requeue": True, "nice": 0, "hold": True}
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
        ({"additional": {"--mail-type": "END"}}, "--mail-type is not an option of sbatch"),
        ({"partition": "a\nrm -r x"}, r"partition='a\\nrm -r x' is not a text of one line"),
        ({"partition": ["a"]}, r"partition=\['a'\] is not a text of one line"),
        ({"additional": {"comment": "a\nrm -r x"}}, "comment=.* is not a text of one line"),
        ({"additional": None}, r"hydra\.launcher\.additional=None does not name options"),
        ({"additional": {"array": "1-5"}}, r"array is set by the launcher: it follows from the packs"),
        (
            {"additional": {"requeue": False}},
            r"requeue is set by the launcher: preempted tasks are queued again",
        ),
        ({"additional": {"time": "1"}}, r"time is set by the launcher: use signal_delay_s and timeout_min"),
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
        instantiate(cfg.hydra.launcher).backend()


def test_the_memory_of_a_pack_is_that_of_the_job_and_not_of_this_machine():
    assert options(gpus=0, mem_gb=8).pack_ram_gb == 4
    assert options(gpu_memory_gb=80).pack_ram_gb == 64
    with pytest.raises(ConfigError, match=r"pack\.memory_gb=auto .*: set it, or hydra\.launcher\.gpu_memory_gb"):
        _ = options().pack_ram_gb
    with pytest.raises(ConfigError, match=r"pack\.memory_gb=auto .*: set it, or hydra\.launcher\.mem_gb"):
        _ = options(gpus=0, mem_gb=None).pack_ram_gb
