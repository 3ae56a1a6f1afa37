"""`memlaw COMMAND`: one name for all commands, each imported when it is called."""

import importlib
from pathlib import Path

import pytest
from helpers.configs import FAST
from helpers.processes import python
from helpers.study_files import statuses

from memlaw import __main__ as console
from memlaw.__main__ import COMMANDS


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_the_list_has_a_line_per_command(arguments: list[str], call):
    listed = [line.split() for line in call(console, *arguments).stdout.splitlines()[2:]]
    assert [words[0] for words in listed] == list(COMMANDS)
    assert all(len(words) > 3 for words in listed)


def test_the_list_imports_nothing_slow(tmp_path: Path):
    shown = python("-X", "importtime", "-m", "memlaw", "--help", cwd=tmp_path)
    assert shown.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in shown.stderr.splitlines()}
    assert "memlaw" in imported
    assert imported.isdisjoint({"torch", "pandas", "numpy", "hydra", "omegaconf", "matplotlib"})


def test_an_unknown_command_is_one_line_with_the_allowed_ones(call):
    ended = call(console, "tarin", "lora.rank=4")
    assert ended.returncode == 2
    assert ended.stderr == f"memlaw: unknown command tarin; choose from {', '.join(COMMANDS)}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_main(name: str):
    assert callable(importlib.import_module(COMMANDS[name].module).main)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - {"train", "plan"}))
def test_a_command_gets_the_arguments_behind_its_name(name: str, call):
    ended = call(console, name, "--help")
    assert ended.returncode == 0
    assert ended.stdout.startswith("usage:")


def test_train_is_the_same_sweep_with_workers_of_its_own(tmp_path: Path):
    sweep = ["-m", *FAST, "lora.rank=1", "seq_len=8,16", "hydra.launcher.workers=2"]
    done = python("-m", "memlaw", "train", *sweep, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Study: ") == 1  # a worker that started the command again would print another
    trained = statuses(tmp_path / "runs/default").values()
    assert [status["state"] for status in trained] == ["done", "done"]
    assert len({status["pid"] for status in trained}) == 2
    assert len(list(tmp_path.glob("runs/default/logs/worker-*.log"))) == 2
