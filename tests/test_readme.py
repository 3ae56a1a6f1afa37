"""The README tells the truth: its tree, its commands, its defaults and its column tables."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, composed
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from memlaw.paths import config_dir
from memlaw.records import RESULT_COLUMNS, TOKEN_COLUMNS

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split(" #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_the_two_commands_stand_there():
    assert any(command.startswith("make sweep") for command in COMMANDS)
    assert any(command.startswith("make test") for command in COMMANDS)


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.startswith(("python -m memlaw.train", "python -m memlaw.plan"))]
)
def test_training_commands_compose(command: str):
    overrides = [word for word in shlex.split(command)[3:] if word != "-m"]
    if overrides == ["--help"]:
        return
    points = []
    for override in OverridesParser.create().parse_overrides(overrides):
        first = next(iter(override.sweep_string_iterator())) if override.is_sweep_override() else None
        points.append(override.input_line if first is None else f"{override.key_or_group}={first}")
    with initialize_config_dir(config_dir(), version_base="1.3"):
        compose("config", overrides=points, return_hydra_config=True)


LOOKING = re.compile(r"python -m memlaw\.(status|logs|doctor|sync)")


@pytest.mark.parametrize("command", list(filter(LOOKING.match, COMMANDS)))
def test_looking_commands_parse(command: str, monkeypatch, capsys):
    _, _, module, *arguments = shlex.split(command)
    parsed: list[object] = []
    parse = argparse.ArgumentParser.parse_args

    def stop(self, *_):
        parsed.append(parse(self, arguments))
        raise KeyError("parsed")

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    main = "memlaw.doctor.__main__" if module == "memlaw.doctor" else module
    with pytest.raises(KeyError, match="parsed"):
        importlib.import_module(main).main()
    assert parsed
    composed(*getattr(parsed[0], "overrides", []))


def test_the_sweep_of_the_readme_is_what_make_sweep_runs():
    makefile = (ROOT / "Makefile").read_text()
    block = README.split("`make sweep` runs")[1].split("```bash\n")[1].split("```")[0]
    for command in block.splitlines():
        assert command.removeprefix("python") in makefile


@pytest.mark.parametrize("target", sorted({c.split()[1] for c in COMMANDS if c.startswith("make ")}))
def test_make_targets_exist(target: str):
    assert subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True).returncode == 0


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.startswith("wandb ")])
def test_wandb_commands_exist(command: str):
    words = command.split()[:2]
    shown = subprocess.run([Path(sys.executable).with_name(words[0]), words[1], "--help"], capture_output=True)
    assert shown.returncode == 0


def test_every_command_is_of_a_kind_that_is_tested():
    trained = ("python -m memlaw.train", "python -m memlaw.plan")
    looked = ("python -m memlaw.status", "python -m memlaw.logs", "python -m memlaw.doctor", "python -m memlaw.sync",
              "python -m memlaw.dashboard")  # fmt: skip
    kinds = (*trained, *looked, "python -m analysis.", "make ", "wandb ")
    assert [command for command in COMMANDS if not command.startswith(kinds)] == []


def test_the_tree_names_every_module_and_nothing_else():
    tree = README.split("## Tree")[1].split("```")[1]
    named = set(re.findall(r"[\w/]+\.py", tree))
    folders = ("memlaw", "memlaw/dashboard", "memlaw/data", "memlaw/doctor", "memlaw/tracking", "analysis",
               "launchers/hydra_plugins/memlaw_launchers")  # fmt: skip
    modules = {path.name for folder in folders for path in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    assert modules == named
    for option in (ROOT / "conf").iterdir():
        if option.is_dir():
            assert f"{option.name}/" in tree


def test_the_key_table_gives_the_defaults():
    cfg = composed()
    table = README.split("| key | default | meaning |")[1].split("\n\n")[0]
    for keys, default in re.findall(r"^\| ([^|]+) \| ([^|]+) \|", table, re.MULTILINE)[1:]:
        for key, value in zip(re.findall(r"`([^`]+)`", keys), re.split(r"[,/] ", default), strict=False):
            if "/" in key or key == "lora.target_modules":
                continue
            found = OmegaConf.select(cfg, key)
            found = found.name if key in ("model", "data", "method") else found
            shown = value.strip(" `").replace("null", "None").replace("true", "True").replace("false", "False")
            assert str(found) == shown or float(found) == float(shown), key


def columns(table: dict) -> list[tuple[str, str]]:
    return [(name, meaning if isinstance(meaning, str) else meaning[1]) for name, meaning in table.items()]


@pytest.mark.parametrize("table", [RESULT_COLUMNS, TOKEN_COLUMNS], ids=["result.json", "tokens.parquet"])
def test_the_column_tables_are_the_schemas(table: dict):
    rows = "\n".join(f"| `{name}` | {meaning} |" for name, meaning in columns(table))
    assert rows in README
