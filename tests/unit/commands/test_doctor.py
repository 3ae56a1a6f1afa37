"""Each check of `memlaw.doctor` on a faked environment."""

import importlib.metadata
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.configs import composed
from helpers.processes import stub
from packaging.requirements import Requirement

from memlaw.backends.slurm.commands import PROGRAMS
from memlaw.config.compose import compose_config, first_values
from memlaw.config.instantiation import instantiate_checked
from memlaw.doctor import __main__ as command
from memlaw.doctor import cluster, hardware, installation, services, storage
from memlaw.doctor.verdict import Verdict, answer
from memlaw.models.sources import HubModel, LocalModel, PackagedModel

SLURM = """Configuration data as of 2026-01-01
ClusterName             = tiny
MaxArraySize            = 1001
PreemptMode             = REQUEUE
PreemptParameters       = (null)
SlurmctldParameters     = {parameters}
"""


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """An empty PATH to put stubs into."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "cat").symlink_to("/bin/cat")
    monkeypatch.setenv("PATH", str(directory))
    return directory


def test_python_and_packages_against_what_is_required():
    needed, packages = installation.requirements()
    assert installation.python(needed).level == "green"
    assert installation.python(needed, "3.9.1").level == "red"
    assert {one.name for one in packages} >= {"torch", "rich", "packaging"}
    assert installation.packages(packages).level == "green"


def test_packages_that_are_old_or_missing_are_named_with_a_command():
    def version(name: str) -> str:
        if name == "rich":
            raise importlib.metadata.PackageNotFoundError
        return "2.0"

    found = installation.packages(
        [Requirement("torch>=2.8"), Requirement("rich>=13"), Requirement("wandb>=1")], version
    )
    assert found == Verdict(
        "packages", "red", "torch 2.0, needs >=2.8; rich missing", "pip install 'torch>=2.8' 'rich>=13'"
    )


def test_a_gpu_is_the_drivers_and_torchs(path):
    assert hardware.gpu(0).level == "yellow"
    stub(path, "nvidia-smi", "echo 'NVIDIA H200, 143771 MiB, 570.1'")
    unseen = hardware.gpu(0, torch_cuda=None)
    assert (unseen.level, "is a build for the CPU" in unseen.finding) == ("red", True)
    seen = hardware.gpu(1)
    assert (seen.level, "570.1" in seen.finding) == ("green", True)


def test_bf16_is_green_where_it_is_native(monkeypatch):
    for native, level in ((True, "green"), (False, "yellow")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert hardware.precision("cpu").level == level
    assert hardware.precision("cuda:99").level == "red"


def test_a_directory_is_written_to_before_it_exists_and_left_as_it_was(tmp_path, monkeypatch):
    assert storage.directory("runs", tmp_path / "a/b", 0, "runs_dir").level == "green"
    assert list(tmp_path.iterdir()) == []
    free = storage.shutil.disk_usage(tmp_path).free / 1e9
    assert storage.directory("runs", tmp_path, 2 * free, "runs_dir").level == "yellow"
    assert storage.directory("runs", tmp_path, 20 * free, "runs_dir").level == "red"
    refused = storage.directory("runs", Path("/proc/none"), 0, "runs_dir")
    assert (refused.level, "cannot be written" in refused.finding) == ("red", True)
    assert refused.remedy == "choose another: runs_dir"


def test_the_clock_is_the_file_systems(tmp_path, monkeypatch, path):
    assert storage.clock(tmp_path).level == "green"
    stub(path, "timedatectl", "echo no")
    assert storage.clock(tmp_path).level == "yellow"
    stub(path, "timedatectl", "echo yes")
    assert storage.clock(tmp_path).level == "green"
    for skew, level in ((-30, "yellow"), (600, "red")):
        monkeypatch.setattr(storage, "time", SimpleNamespace(time=lambda skew=skew: time.time() + skew))
        assert storage.clock(tmp_path).level == level


def test_models_that_need_no_network(tmp_path, monkeypatch):
    assert services.base_model(instantiate_checked(composed("model=random").model)).level == "green"
    assert services.base_model(LocalModel("mine", str(tmp_path))).level == "red"
    (tmp_path / "config.json").write_text("{}")
    assert services.base_model(LocalModel("mine", str(tmp_path))).level == "green"
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package/m.gguf").write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert services.base_model(PackagedModel("m", "a_package", "m.gguf", "nobody/none")).level == "green"


def test_a_hub_model_is_green_only_when_its_files_are_here(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "is_offline_mode", lambda: False)
    missing = services.base_model(HubModel("m", "nobody/none"))
    assert (missing.level, missing.remedy) == ("yellow", "once, where there is a network: hf download nobody/none")
    monkeypatch.setattr(services, "is_offline_mode", lambda: True)  # which reads the environment once
    assert services.base_model(PackagedModel("m", "no_such_package", "m.gguf", "nobody/none")).level == "red"
    monkeypatch.setattr(services, "snapshot_download", lambda *_, **__: str(tmp_path))
    for name in ("config.json", "tokenizer.json", "model-1.safetensors"):
        (tmp_path / name).write_text("{}")
    assert services.base_model(HubModel("m", "nobody/none")).level == "green"
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    assert "only partly" in services.base_model(HubModel("m", "nobody/none")).finding


def test_wandb_by_mode_login_and_server(tmp_path, monkeypatch):
    for module in ("memlaw.tracking.mode", "memlaw.doctor.services"):
        monkeypatch.setattr(f"{module}.told", lambda: None)
    monkeypatch.setattr(services, "has_credentials", lambda: False)
    monkeypatch.setattr("memlaw.tracking.mode.has_credentials", lambda: False)
    assert services.wandb("disabled").level == "green"
    assert services.wandb("offline").level == "green"
    assert services.wandb("auto").level == "yellow"
    for module in ("memlaw.tracking.mode", "memlaw.doctor.services"):
        monkeypatch.setattr(f"{module}.told", lambda: "offline")
    assert services.wandb("auto") == Verdict("W&B", "green", "offline: runs are kept in the study's directory")
    assert services.wandb("online").level == "red"
    monkeypatch.setattr(services, "has_credentials", lambda: True)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(services, "base_url", lambda: url)
        assert services.wandb("online").level == "yellow"
        server.listen()
        assert services.wandb("online").level == "green"


def test_slurm_by_its_commands_and_its_answer(path):
    assert [cluster.commands({}, wanted).level for wanted in (False, True)] == ["green", "red"]
    stub(path, "scontrol", "exit 1")
    missing = cluster.commands({}, wanted=True)
    assert missing.finding == "no sbatch, srun, squeue on PATH of this machine, from which jobs are submitted"
    for name in PROGRAMS[:3]:
        stub(path, name, "exit 1")
    assert cluster.slurm_config() == {}
    assert [cluster.commands({}, wanted).level for wanted in (False, True)] == ["yellow", "red"]
    stub(path, "scontrol", f"cat <<'X'\n{SLURM.format(parameters='(null)')}X")
    assert cluster.commands(cluster.slurm_config(), wanted=True) == Verdict("Slurm", "green", "cluster tiny answers")


def test_the_limits_and_signals_of_a_cluster(path):
    stub(path, "scontrol", f"cat <<'X'\n{SLURM.format(parameters='a,preempt_send_user_signal')}X")
    config = cluster.slurm_config()
    assert cluster.array_size(config).finding == "1001: up to 1001 tasks in one array"
    assert [cluster.array_size({"MaxArraySize": size}).level for size in ("1", "(null)")] == ["red", "yellow"]
    assert cluster.preemption(config).level == "green"
    assert cluster.preemption({**config, "SlurmctldParameters": "(null)"}).level == "yellow"
    assert cluster.preemption({**config, "PreemptMode": "CANCEL"}).level == "yellow"
    assert cluster.preemption({"PreemptMode": "OFF"}).level == "green"


def test_a_job_is_asked_only_if_told_and_must_see_the_file(path, tmp_path):
    runs = tmp_path / "with space"
    assert cluster.shared_directory(runs, try_job=False).level == "yellow"
    assert not runs.exists()
    assert cluster.shared_directory(runs, try_job=True).level == "red"  # no srun
    stub(path, "srun", 'shift 4; exec "$@"')
    assert cluster.shared_directory(runs, try_job=True).level == "green"
    stub(path, "srun", "echo something else")
    assert cluster.shared_directory(runs, try_job=True).level == "red"
    stub(path, "srun", "echo 'cat: x: No such file' >&2; exit 1")
    assert cluster.shared_directory(runs, try_job=True).finding.endswith("cat: x: No such file")
    stub(path, "srun", "echo 'srun: error: Unable to allocate resources' >&2; exit 1")
    assert cluster.shared_directory(runs, try_job=True).level == "yellow"
    assert list(runs.iterdir()) == []


def test_a_program_that_hangs_or_fails_gives_no_answer(path):
    (path / "sleep").symlink_to("/bin/sleep")
    assert answer("sleep", "5", timeout_s=0.1) is None
    assert answer("no-such-program") is None


@pytest.mark.parametrize(("level", "code"), [("green", 0), ("yellow", 0), ("red", 1)])
def test_the_command_ends_with_1_if_anything_is_red(monkeypatch, capsys, level, code: int):
    monkeypatch.setattr(command, "examine", lambda *_: [Verdict("a check", level, "a [finding]", "what to do")])
    monkeypatch.setattr(sys, "argv", ["memlaw.doctor"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == code
    assert type(ended.value.code) is int
    said = capsys.readouterr().out
    assert "a [finding]" in said
    assert "→ what to do" in said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("model=nonsense", "nonsense"),
        ("model=hub", "Missing mandatory value"),
        ("logger=null", "logger"),
        ("lora.rank=0", "lora.rank=0 is not"),
        ("+foo=1", "foo is not a key"),
        ("hydra.launcher.workers=0", "hydra.launcher.workers=0 is neither auto nor a number of at least 1"),
        ("hydra/launcher=slurm hydra.launcher.gpus=9", "hydra.launcher.gpus=9"),
        ("hydra/launcher=slurm_container", "MEMLAW_IMAGE"),
        ("checkpoint.every_min=-1", "checkpoint.every_min=-1"),
    ],
)
def test_what_the_sweep_refuses_is_refused(monkeypatch, capsys, overrides: str, said: str):
    monkeypatch.delenv("MEMLAW_IMAGE", raising=False)
    monkeypatch.setattr(sys, "argv", ["memlaw.doctor", "model=random", *overrides.split()])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_the_sweeps_own_words_are_taken(monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mine.yaml").write_text("defaults: [long_context]\nname: mine\n")
    seen = []
    monkeypatch.setattr(command, "examine", lambda cfg, *_: seen.append(cfg) or [])
    words = f"-m model=random data=mine --job lora.rank=4,2 seq_len=range(8,20,4) --config-dir {tmp_path}"
    monkeypatch.setattr(sys, "argv", ["memlaw.doctor", *words.split()])
    with pytest.raises(SystemExit):
        command.main()
    assert (seen[0].lora.rank, seen[0].seq_len, seen[0].data.name) == (4, 8, "mine")


def test_all_checks_run_here(path, tmp_path):
    found = command.examine(
        compose_config(["model=random", "logger.mode=disabled"], with_hydra=True), tmp_path, try_job=False
    )
    expected = "Python packages GPU bf16 runs cache Hub+cache clock model W&B Slurm"
    assert [verdict.check for verdict in found] == [word.replace("+", " ") for word in expected.split()]
    assert [place.name for place in tmp_path.iterdir()] == ["bin"]


def test_a_sweep_that_is_to_be_queued_is_looked_at_with_its_launchers_options(path, tmp_path):
    for name in PROGRAMS:
        stub(path, name, "exit 1")
    sweep = ["model=random", "logger.mode=disabled", "hydra/launcher=slurm", "hydra.launcher.partition=gpu"]
    cfg = compose_config(first_values([*sweep, "hydra.launcher.account=me"]), with_hydra=True)
    lost = {verdict.check: verdict.level for verdict in command.examine(cfg, tmp_path / "runs", try_job=False)}
    assert (lost["Slurm"], lost["submitit"]) == ("red", "green")
    stub(path, "scontrol", f"cat <<'X'\n{SLURM.format(parameters='(null)')}X")
    stub(path, "srun", f'echo "$*" > {tmp_path}/told; shift 6; exec "$@"')
    found = {verdict.check: verdict.level for verdict in command.examine(cfg, tmp_path / "runs", try_job=True)}
    assert (found["Slurm"], found["shared files"]) == ("green", "green")
    assert (tmp_path / "told").read_text().startswith("--partition=gpu --account=me --ntasks=1")


@pytest.mark.parametrize(
    ("overrides", "check", "level", "finding"),
    [
        (["logger=trackio"], "Trackio", "green", "runs are kept on this machine"),
        (["logger=trackio", "logger.mode=disabled"], "Trackio", "green", "disabled: results are on disk alone"),
        (["logger.mode=disabled"], "W&B", "green", "disabled: results are on disk alone"),
    ],
)
def test_each_logger_is_looked_at_by_its_own_service(overrides, check: str, level: str, finding: str):
    verdict = services.tracking(composed(*overrides).logger)
    assert (verdict.check, verdict.level, verdict.finding) == (check, level, finding)
