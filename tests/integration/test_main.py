"""`memlaw COMMAND`: one name for all commands, each imported when it is called."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.configs import FAST

from memlaw.__main__ import COMMANDS, main


def called(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["memlaw", *arguments])
    main()


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_list_has_a_line_per_command(arguments: list[str], monkeypatch, capsys):
    called(monkeypatch, *arguments)
    listed = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [words[0] for words in listed] == list(COMMANDS)
    assert all(len(words) > 3 for words in listed)


def test_the_list_imports_nothing_slow(tmp_path: Path):
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "memlaw", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert shown.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in shown.stderr.splitlines()}
    assert "memlaw" in imported
    assert imported.isdisjoint({"torch", "pandas", "numpy", "hydra", "omegaconf", "matplotlib"})


def test_an_unknown_command_is_one_line_with_the_allowed_ones(monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        called(monkeypatch, "tarin", "lora.rank=4")
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"memlaw: unknown command tarin; choose from {', '.join(COMMANDS)}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_main(name: str):
    assert callable(importlib.import_module(COMMANDS[name].module).main)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"train", "plan"}))
def test_a_command_gets_the_arguments_behind_its_name(name: str, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ended:
        called(monkeypatch, name, "--help")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage:")


def test_train_is_the_same_sweep_with_workers_of_its_own(tmp_path: Path):
    sweep = ["-m", *FAST, "lora.rank=1", "seq_len=8,16", "hydra.launcher.workers=2"]
    done = subprocess.run(
        [sys.executable, "-m", "memlaw", "train", *sweep],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "160"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Study: ") == 1  # a worker that started the command again would print another
    assert len(list(tmp_path.glob("runs/default/*/result.json"))) == 2
    assert len(list(tmp_path.glob("runs/default/logs/worker-*.log"))) == 2
