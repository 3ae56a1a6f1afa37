"""The command line, run as a user runs it."""

import json
import os
import re
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.configs import FAST, TINY
from helpers.processes import PATIENCE_S, wait_for
from helpers.study_files import of_length, results, states, statuses

NINE = ["lora.rank=1,4,16", "seq_len=8,16,32"]


def test_a_sweep_trains_every_cell_and_a_rerun_only_what_is_missing(train, tmp_path: Path):
    named = "study=2024_01_15"  # which Hydra alone would read as a number
    first = train("-m", *FAST, *NINE, named, "logger.mode=offline")
    assert first.returncode == 0, first.stdout + first.stderr
    study = tmp_path / "runs" / "2024_01_15"
    assert f"Study: {study}" in first.stdout
    assert len(re.findall(r"^done random_llama.*  loss \d\.\d+ nats$", first.stdout, re.MULTILINE)) == 9  # as they end
    assert len(re.findall(r"^ \d.* done ", first.stdout, re.MULTILINE)) == 9  # in the table
    assert set(states(study).values()) == {"done"}
    assert set(results(study)) == {(r, l) for r in (1, 4, 16) for l in (8, 16, 32)}
    for directory in {path.parent for path in study.glob("*/result.json")}:
        assert {"config.yaml", "status.json", "tokens.parquet", "texts.json", "result.json", "adapter"} <= {
            path.name for path in directory.iterdir()
        }
    assert len(list((study / "wandb").glob("offline-run-*/run-*.wandb"))) == 9

    stamps = {path: path.stat().st_mtime_ns for path in study.glob("*/*") if path.parent.name != "wandb"}
    again = train("-m", *FAST, *NINE, named)
    assert "Nothing to train: 9 of 9 cells are done" in again.stdout
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())

    more = train("-m", *FAST, named, "lora.rank=1,2", "seq_len=8")
    assert "1 cell to train in 1 pack" in more.stdout
    assert len(states(study)) == 10


@pytest.mark.slow
def test_one_cell_and_hydras_basic_launcher_give_what_packs_give(train, tmp_path: Path):
    assert train(*FAST, "lora.rank=4", "seq_len=16", "study=single").returncode == 0
    basic = train("-m", *FAST, "lora.rank=1,4", "seq_len=16", "study=basic", "hydra/launcher=basic")
    assert basic.returncode == 0, basic.stdout + basic.stderr
    local = train("-m", *FAST, "lora.rank=1,4", "seq_len=16", "study=local")
    assert local.returncode == 0
    tables = [results(tmp_path / "runs" / study) for study in ("basic", "local", "single")]
    assert len(tables[0]) == len(tables[1]) == 2
    for table in tables:
        assert table[4, 16]["loss_nats"] == pytest.approx(tables[0][4, 16]["loss_nats"], abs=1e-4)
    assert tables[1][4, 16]["pack_size"] == 2


@pytest.mark.slow
def test_a_failing_cell_is_reported_fails_the_command_and_stops_nobody(train, tmp_path: Path):
    text = tmp_path / "short.txt"
    text.write_text("only a few words")
    sweep = ["-m", *FAST, "data=text", f"data.path={text}", "seq_len=4,8,12,99", "lora.rank=2"]
    failed = train(*sweep)
    assert failed.returncode == 1
    (line,) = {line for line in failed.stdout.splitlines() if line.startswith("failed")}
    assert "seq_len=99 is longer than the text, which has 16 tokens" in line
    assert "1 of 4 cells failed" in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    assert sorted(states(tmp_path / "runs/default").values()) == ["done", "done", "done", "failed"]

    kept = train(*sweep)
    assert "Nothing to train: 3 of 4 cells are done, 1 failed (rerun=failed tries these again)" in kept.stdout
    assert kept.returncode == 1
    assert "1 cell to train in 1 pack" in train(*sweep, "rerun=failed").stdout
    (again,) = [status for status in statuses(tmp_path / "runs/default").values() if status["state"] == "failed"]
    assert again["attempt"] == 2
    text.write_text("many words " * 20)  # an edited file makes other cells, and leaves those of the old one alone
    assert train(*sweep).returncode == 0
    assert sorted(states(tmp_path / "runs/default").values()) == ["done"] * 7 + ["failed"]


@pytest.mark.slow
def test_a_sweep_over_models_is_a_sweep_over_sizes(train, tmp_path: Path):
    done = train("-m", *FAST, "model.sizes.hidden_size=32,64", "model.sizes.num_hidden_layers=2,4", "seq_len=8")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*/*/result.json")]
    assert len({row["model_fingerprint"] for row in rows}) == 4
    assert {row["trainable_parameters"] for row in rows} == {8 * (32 + 128), 8 * (64 + 128)}


@pytest.mark.slow
def test_a_pack_whose_worker_was_killed_is_halved(tmp_path: Path):
    command = [sys.executable, "-m", "memlaw.train", "-m", *FAST, "seq_len=8", "steps=2000", "lora.rank=1,2,3"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: _running(tmp_path / "runs/default", seq_len=8))
    os.kill(_running(tmp_path / "runs/default", seq_len=8)[0]["pid"], signal.SIGKILL)
    shown, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, shown
    assert "died with 3 cells in its pack (out of memory?); halving it" in shown
    assert sorted(result["pack_size"] for result in results(tmp_path / "runs/default").values()) == [1, 2, 2]


def _running(study: Path, seq_len: int) -> list[dict]:
    """The statuses of the cells of one length that a process trains."""
    return [status for status in of_length(statuses(study), seq_len) if status["state"] == "running"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["lora.rank=0"], "lora.rank=0 is not a whole number of at least 1"),
        (["lora.target_modules=[nothing]"], "lora.target_modules=[nothing]"),
        (
            ["rerun=sometimes"],
            "rerun=sometimes is not one of missing, failed, stale, all, nor the name or hash of a cell",
        ),
        (["lora.rank=1,0", "-m"], "lora.rank=0"),
        (["seq_len=8,1000000000", "-m"], "seq_len=1000000000 is longer than the 2048 positions"),
        (["seq_len=8", "study=../x", "-m"], "study='../x' is not a directory's name"),
        (["lora.rnk=1,2", "-m"], "lora.rnk is not a key; lora has rank, "),
        (["model=hub"], "model.id"),
    ],
)
def test_an_impossible_configuration_is_one_clear_error(refused, tmp_path: Path, overrides, message):
    assert message in refused(*TINY, *overrides)
    assert not states(tmp_path / "runs/default")


TEXT_S = 120.0
"""What a text of a thousand million tokens would take many times over, and a refusal nowhere."""


def test_an_impossible_length_is_refused_from_the_command_line_before_a_text_is_made(train):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    refused = train("-m", *TINY, "seq_len=8,1000000000")
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < TEXT_S
    assert refused.returncode == 2
    assert refused.stderr.startswith("Configuration error: seq_len=1000000000 is longer than the 2048 positions")
    assert refused.stderr.count("\n") == 1
    assert "Traceback" not in refused.stdout + refused.stderr


@pytest.mark.slow
def test_values_may_look_up_hydras_own_in_a_sweep_too(train, tmp_path: Path):
    (tmp_path / "mine.txt").write_text("A text that is long enough to be remembered.")
    done = train("-m", *FAST, "data=text", "data.path=${hydra:runtime.cwd}/mine.txt", "seq_len=8")
    assert done.returncode == 0, done.stderr


def test_operational_keys_cannot_be_swept(refused):
    said = refused("-m", *TINY, "trainer.prefix_cache_gb=0,1")
    assert "trainer says how or where to run; a sweep has a single value of it" in said


def test_hydras_basic_launcher_goes_on_after_an_impossible_job(train, tmp_path: Path):
    done = train("-m", *FAST, "seq_len=8", "lora.rank=0,1", "hydra/launcher=basic")
    assert done.returncode == 2
    assert "lora.rank=0 is not a whole number of at least 1" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(states(tmp_path / "runs/default").values()) == ["done"]
