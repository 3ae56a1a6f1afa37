"""W&B is asked no more than W&B's own switches allow, wherever they stand."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest
import wandb
from click.testing import CliRunner
from helpers.configs import composed

from memlaw.backends.backend import NoPacks
from memlaw.backends.this_process import ThisProcess
from memlaw.core.errors import ConfigError
from memlaw.sweep import run_sweep as sweep
from memlaw.tracking.mode import base_url, has_credentials, resolve_mode

KEY = "a" * 40
OWN = {"WANDB_BASE_URL": "http://localhost:8080"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch) -> Path:
    """A home and a working directory of their own, and none of the user's settings."""
    for name in os.environ:
        if name.startswith("WANDB_") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def settings_file(path: Path, **settings: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))


def key_of(machine: str) -> str:
    return f"machine {machine}\n  login user\n  password {KEY}\n"


@pytest.mark.parametrize(
    ("environment", "file", "text", "mode"),
    [
        ({}, ".netrc", "", "offline"),
        ({"WANDB_API_KEY": KEY}, ".netrc", "", "online"),
        ({"WANDB_API_KEY": "short"}, ".netrc", "", "offline"),
        ({"WANDB_IDENTITY_TOKEN_FILE": "token"}, ".netrc", "", "online"),
        ({}, ".netrc", key_of("api.wandb.ai"), "online"),  # whatever this version's default server is
        ({}, "_netrc", key_of("api.wandb.ai"), "online"),
        ({"NETRC": "~/kept"}, "kept", key_of("api.wandb.ai"), "online"),
        ({}, "work/wandb/settings", f"[default]\napi_key = {KEY}\n", "online"),
        ({}, ".config/wandb/settings", f"[default]\napi_key = {KEY}\n", "online"),
        (OWN, ".netrc", key_of("localhost:8080"), "online"),
        (OWN, ".netrc", key_of("api.wandb.ai"), "offline"),
        (OWN, ".netrc", "machine localhost:8080 login user password short", "offline"),
    ],
)
def test_auto_is_online_where_wandb_finds_a_key(home: Path, monkeypatch, environment, file, text, mode: str):
    (home / file).parent.mkdir(parents=True, exist_ok=True)
    (home / file).write_text(text)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert resolve_mode("auto") == mode
    assert has_credentials() == (mode == "online")


@pytest.mark.parametrize(
    ("environment", "mode"),
    [
        ({"WANDB_MODE": "offline"}, "offline"),
        ({"WANDB_MODE": "dryrun"}, "offline"),
        ({"WANDB_MODE": "disabled"}, "disabled"),
        ({"WANDB_MODE": "online"}, "online"),
        ({"WANDB_MODE": "shared"}, "online"),
        ({"WANDB_MODE": "run"}, "online"),
        ({"WANDB_DISABLED": "true"}, "disabled"),
        ({"WANDB_DISABLED": "false"}, "online"),
    ],
)
def test_auto_obeys_wandbs_variables_though_there_is_a_key(monkeypatch, environment, mode: str):
    for name, value in {"WANDB_API_KEY": KEY, **environment}.items():
        monkeypatch.setenv(name, value)
    assert resolve_mode("auto") == mode
    assert [resolve_mode(told) for told in ("online", "offline", "disabled")] == ["online", "offline", "disabled"]


@pytest.mark.parametrize(("word", "mode"), [("offline", "offline"), ("disabled", "disabled"), ("enabled", "online")])
def test_auto_obeys_what_wandbs_command_has_written(monkeypatch, word: str, mode: str):
    from wandb.cli.cli import cli

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    Path("wandb").mkdir()
    assert CliRunner().invoke(cli, [word]).exit_code == 0
    wandb.teardown()  # that was another process
    assert resolve_mode("auto") == mode


@pytest.mark.parametrize("place", [".config/wandb/settings", "mine/settings", "work/wandb/settings"])
def test_each_of_wandbs_files_is_read(home: Path, monkeypatch, place: str):
    if place.startswith("mine"):
        monkeypatch.setenv("WANDB_CONFIG_DIR", "~/mine")
    settings_file(home / place, mode="offline", base_url="http://localhost:8080")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert resolve_mode("auto") == "offline"
    assert base_url() == "http://localhost:8080"
    monkeypatch.setenv("WANDB_BASE_URL", "http://localhost:9090")
    wandb.teardown()
    assert base_url() == "http://localhost:9090"


def test_told_to_be_online_it_is_without_a_key_too(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    assert resolve_mode("auto") == "online"


@pytest.mark.parametrize(("name", "value"), [("WANDB_MODE", "sometimes"), ("WANDB_BASE_URL", "nowhere")])
def test_what_wandb_refuses_is_one_line_each_time(monkeypatch, name: str, value: str):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv(name, value)
    for _ in range(2):
        with pytest.raises(ConfigError, match=rf"W&B refuses its own settings.*{name[6:].lower()}.*{value}") as refused:
            resolve_mode("auto")
        assert "\n" not in str(refused.value)


def test_a_mode_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"logger\.mode=sometimes"):
        resolve_mode("sometimes")


@pytest.mark.parametrize(("told", "mode"), [("dryrun", "offline"), ("disabled", "disabled"), ("online", "online")])
def test_workers_and_jobs_are_told_what_this_process_was(tiny, monkeypatch, told: str, mode: str):
    seen = []

    class Elsewhere(ThisProcess):
        waits = False

        @contextmanager
        def submit(self, plan, settings):
            seen.append(settings.logger.mode)
            yield NoPacks()

    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", told)
    cell, cfg = tiny("steps=20", "seq_len=8")
    cfg.logger = composed().logger
    sweep.run_sweep([cell], cfg, Elsewhere())
    assert seen == [mode]
