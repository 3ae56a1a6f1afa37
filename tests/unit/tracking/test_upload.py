"""Uploads of one run, with `wandb sync` faked."""

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from memlaw.tracking import upload as module
from memlaw.tracking.local_runs import LocalRun, Log
from memlaw.tracking.upload import INCOMPLETE, UPLOADED, Outcome, Uploader, made_for


@pytest.fixture
def run(tmp_path: Path, monkeypatch) -> LocalRun:
    """A run of two attempts."""
    directories = tuple(tmp_path / "wandb" / f"run-2026010{day}_000000-a-b" for day in (1, 2))
    for directory in directories:
        directory.mkdir(parents=True)
        (directory / "run-a-b.wandb").touch()
    settings = SimpleNamespace(api_key="k", base_url="http://localhost")
    monkeypatch.setattr(module, "wandb_settings", lambda: settings)
    return LocalRun("a-b", directories)


@pytest.fixture
def wandb_sync(run, monkeypatch):
    """Fake `wandb sync`: its exit code and output, and whether it leaves the mark of a whole upload."""

    def fake(code: int, output: str, whole: bool) -> list[list[str]]:
        commands = []

        def call(command, env, **_):
            commands.append(command)
            assert (env["WANDB_API_KEY"], env["WANDB_BASE_URL"]) == ("k", "http://localhost")
            assert not run.mark(run.directories[-1]).exists()
            if whole:
                run.mark(run.directories[-1]).touch()
            return SimpleNamespace(returncode=code, stdout=output, stderr="")

        monkeypatch.setattr(module.subprocess, "run", call)
        return commands

    return fake


@pytest.mark.parametrize(
    ("code", "output", "whole", "outcome"),
    [
        (0, "done", True, UPLOADED),
        (0, "incomplete record", False, INCOMPLETE),
        (1, "first\nError: no such project\n", True, Outcome("Error: no such project", failed=True)),
        (0, "", False, Outcome("wandb sync did not complete it", failed=True)),
    ],
)
def test_the_outcome_follows_from_exit_code_output_and_mark(run, tmp_path, wandb_sync, code, output, whole, outcome):
    commands = wandb_sync(code, output, whole)
    assert Uploader(tmp_path, ["--project", "p"], 1).upload(run) == outcome
    assert commands[0][-3:] == ["--project", "p", str(run.directories[-1])]
    assert run.mark(run.directories[0]).exists() == (outcome in (UPLOADED, INCOMPLETE))


def test_an_upload_that_takes_too_long_is_given_up(run, tmp_path, monkeypatch):
    def call(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(module.subprocess, "run", call)
    assert Uploader(tmp_path, [], 2.5).upload(run) == Outcome("not uploaded within 2.5 s", failed=True)


def test_a_run_belongs_where_its_latest_log_says_else_where_the_studys_do(run, tmp_path, monkeypatch):
    logs = {"1": Log("old", "me", False), "2": Log("new", "", False)}
    monkeypatch.setattr(module, "read_log", lambda path: logs[path.parent.name[11]])
    assert made_for(run, tmp_path) == ("new", None)
    assert made_for(LocalRun("other", ()), tmp_path) == ("new", None)
    logs["2"] = Log("", "", False)
    assert made_for(run, tmp_path) == ("old", "me")
    assert made_for(LocalRun("other", ()), tmp_path) == ("memlaw", None)
