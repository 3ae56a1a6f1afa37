"""The way from the command to the first training step is short, and packages import downwards only."""

import runpy
import sys
from pathlib import Path

import pytest
from helpers.checkout import ROOT
from helpers.configs import FAST
from helpers.walk import walk_to

from memlaw.train import main
from memlaw.training.module import PackModule


def test_few_calls_lie_between_the_command_and_the_first_step(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["memlaw.train", *FAST, "steps=1", "seq_len=8"])
    stack = walk_to(PackModule.training_step, main).stack
    assert stack[0] == ("memlaw/train.py", "main")
    assert stack[-1] == ("memlaw/training/module.py", "training_step")
    assert len(stack) <= 15, stack
    assert len({file for file, _ in stack}) <= 7, stack
    packages = list(dict.fromkeys(str(Path(file).parent) for file, _ in stack))
    assert packages == ["memlaw", "memlaw/sweep", "memlaw/backends", "memlaw/training"]  # never back up


@pytest.fixture(scope="module")
def drawing() -> dict:
    return runpy.run_path(str(ROOT / "docs/import_graph.py"))


def test_packages_stand_in_at_most_ten_layers_without_a_circle(drawing: dict):
    layers = drawing["layers"](drawing["read_arrows"]())
    assert len(layers) <= 10
    assert "memlaw.core" in layers[0]


def test_the_drawing_notices_a_circle(drawing: dict):
    with pytest.raises(ValueError, match="cycle"):
        drawing["layers"]({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_the_contracts_that_lint_checks_are_kept(monkeypatch, capsys):
    cli = pytest.importorskip("importlinter.cli")
    monkeypatch.chdir(ROOT)
    assert cli.lint_imports(no_cache=True) == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out
