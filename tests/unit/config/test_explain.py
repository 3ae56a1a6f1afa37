"""The command's start: what Hydra objects to, and Ctrl-C, end in one line."""

import importlib
import os
import subprocess
import sys

import pytest
from helpers.processes import PATIENCE_S
from hydra.core.plugins import Plugins

from memlaw.config.explain import explained
from memlaw.core import errors
from memlaw.core.errors import ConfigError
from memlaw.sweep import application

train = importlib.import_module("memlaw.train")  # the package exports a function of this name


@pytest.mark.parametrize(
    "override",
    ["model=null", "method=3", "data=[1,2]", "logger=", "model=gpt9", "hydra/launcher=pbs", "experiment=mine"],
)
def test_a_group_takes_one_of_its_names(refused, override: str):
    said = refused("model=random", override)
    assert said.startswith(f"{override}: {override.partition('=')[0]} is a group of settings; choose one of ")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("lora.rnk=3", "lora.rnk is not a key; lora has rank, target_modules, "),
        ("lora.rank.x=3", "lora.rank.x: lora.rank has no keys"),
        ("model.size=3", "model.size is not a key; model has name, "),
        ("rank=3", "rank is not a key; the configuration has model, data, "),
        (
            "hydra.job.env_set.A=3",
            "hydra.job.env_set.A: hydra.job.env_set has no keys; +hydra.job.env_set.A=VALUE",
        ),
        ("hydra.launcher.wrkers=3", "hydra.launcher.wrkers is not a key; hydra.launcher has workers"),
        ("+lora.rnk=3", "lora.rnk is not a key; lora has rank, "),
        ("+eval.recall.top_k=3", "eval.recall.top_k is not a key; eval.recall has greedy, "),
        ("~lora.rank", "lora.rank is missing; lora needs it"),
        ("lora=null", "lora=null replaces a group of settings; set lora.rank=… instead"),
        ("optimizer=adamw", "optimizer=adamw replaces a group of settings; set optimizer.lr=… instead"),
        ("lora=[8]", "lora is a group of settings; a list cannot replace it"),
        ("optimizer.betas={a:1}", "optimizer.betas is a list; a group of settings cannot replace it"),
        ("~logger", "logger is missing; the configuration needs it"),
        ("+seq_len=3", "Could not append to config."),
        ("lora.rank=1,2", "Ambiguous value for argument 'lora.rank=1,2'"),
        ("seq_len=[1", "no viable alternative at input '[1'"),
        ("+seq_len", "Error parsing override '+seq_len'"),
        ("study=${nothing}", "hydra.run.dir: Interpolation key 'nothing' not found"),
        ("seq_len=${nothing}", "seq_len: Interpolation key 'nothing' not found"),
        ("=3", "Config group override must be a string or a list"),
    ],
)
def test_what_hydra_objects_to_is_one_line_that_names_the_key(refused, override: str, said: str):
    assert refused("model=random", override).startswith(said)


def test_a_misspelt_key_in_a_users_own_file_is_refused(refused, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nseq_len: 8\nlora:\n  rnk: 3\n")
    said = refused("model=random", "experiment=mine", "--config-dir", str(tmp_path))
    assert said.startswith("lora.rnk is not a key; lora has rank, ")


@pytest.mark.parametrize("content", [b"lora: [rank: 2", b"seq_len: 8\nseq_len: 9\n", b"study: \xff\xfe\n"])
def test_a_users_own_file_that_is_no_yaml_is_one_line(refused, tmp_path, content: bytes):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_bytes(b"# @package _global_\n" + content)
    assert refused("model=random", "experiment=mine", "--config-dir", str(tmp_path))


def test_other_errors_of_values_are_shown_whole(monkeypatch):
    def broken() -> None:
        raise ValueError("a mistake of ours")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "argv", ["memlaw.train", "model=null"])
    monkeypatch.setattr(application, "run", broken)
    with pytest.raises(ValueError, match="a mistake of ours"):
        train.main()


@pytest.mark.parametrize("error", [TypeError, ValueError])
def test_a_mistake_in_a_launcher_is_shown_whole(monkeypatch, tmp_path, error: type[Exception]):
    def broken(*_) -> None:
        raise error("a mistake of ours")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    Plugins.instance()  # loads the launchers, which would undo what follows
    monkeypatch.setattr(sys.modules["hydra_plugins.memlaw_launchers.launcher"], "run_sweep", broken)
    monkeypatch.setattr(sys, "argv", ["memlaw.train", "-m", "model=random"])
    with pytest.raises(error, match="a mistake of ours"):
        train.main()


def test_an_error_that_is_clear_already_passes():
    mine = ConfigError("mine")
    with pytest.raises(ConfigError) as caught, explained():
        raise mine
    assert caught.value is mine


def test_ctrl_c_while_hydra_starts_is_one_line(monkeypatch, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(application, "run", interrupted)
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("Interrupted.")


@pytest.mark.parametrize(
    ("overrides", "cause"),
    [
        (["lora.rank=0"], "check_whole"),  # refused by memlaw, in a single run
        (["lora.rank=0,1", "-m"], "check_whole"),  # and by a launcher
        (["lora.rnk=3"], "ConfigCompositionException"),  # by Hydra
        (["rank=3", "-m"], "ConfigCompositionException"),
    ],
)
def test_an_errors_origin_is_shown_if_asked_for_and_the_exit_code_is_the_same(
    monkeypatch, capsys, tmp_path, overrides, cause: str
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(errors, "TRACEBACKS", True)
    monkeypatch.setattr(sys, "argv", ["memlaw.train", "model=random", *overrides])
    with pytest.raises(SystemExit) as ended:
        train.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" in said and cause in said
    assert said.splitlines()[-1].startswith("Configuration error: ")


@pytest.mark.parametrize(("wanted", "shown"), [("1", True), ("0", False)])
def test_hydra_full_error_asks_for_it(tmp_path, wanted: str, shown: bool):
    call = [sys.executable, "-m", "memlaw.train", "lora.rnk=3"]
    environment = {**os.environ, "HYDRA_FULL_ERROR": wanted}
    told = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert told.returncode == 2
    assert ("Traceback" in told.stderr) == shown


@pytest.mark.parametrize("wanted", [True, False])
def test_a_disk_error_is_one_line_unless_more_is_asked_for(monkeypatch, wanted: bool):
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(errors, "TRACEBACKS", wanted)
    monkeypatch.setattr(application, "run", full)
    with pytest.raises(OSError if wanted else SystemExit, match="No space left"):
        train.main()
