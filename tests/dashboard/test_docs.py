"""Every command of docs/wandb.md composes, parses or exists."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from memlaw.paths import config_dir

PAGE = (ROOT / "docs/wandb.md").read_text(encoding="utf-8")
COMMANDS = [
    line.split(" #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
TRAINING = [command for command in COMMANDS if command.startswith("python -m memlaw.train")]
MODULES = [command for command in COMMANDS if command.startswith("python -m ") and command not in TRAINING]
TOOLS = [command for command in COMMANDS if command.startswith(("wandb ", "trackio "))]


def test_every_command_is_of_a_kind_that_is_tested():
    rest = set(COMMANDS) - {*TRAINING, *MODULES, *TOOLS}
    assert all(command.startswith("pip install 'memlaw[") for command in rest)
    assert TRAINING and MODULES and TOOLS


@pytest.mark.parametrize("command", TRAINING)
def test_training_commands_compose(command: str):
    points = []
    for override in OverridesParser.create().parse_overrides(
        [word for word in shlex.split(command)[3:] if word != "-m"]
    ):
        first = next(iter(override.sweep_string_iterator())) if override.is_sweep_override() else None
        points.append(override.input_line if first is None else f"{override.key_or_group}={first}")
    with initialize_config_dir(config_dir(), version_base="1.3"):
        compose("config", overrides=points, return_hydra_config=True)


@pytest.mark.parametrize("command", MODULES)
def test_other_commands_parse(command: str, monkeypatch):
    _, _, module, *arguments = shlex.split(command)
    main = "memlaw.dashboard.__main__" if module == "memlaw.dashboard" else module
    parse, parsed = argparse.ArgumentParser.parse_args, []

    def stop(self, *_):
        parsed.append(parse(self, arguments))
        raise KeyError("parsed")

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    with pytest.raises(KeyError, match="parsed"):
        importlib.import_module(main).main()
    assert parsed


@pytest.mark.parametrize("command", TOOLS)
def test_tools_have_these_commands(command: str):
    name, word, *_ = command.split()
    shown = subprocess.run([Path(sys.executable).with_name(name), word, "--help"], capture_output=True)
    assert shown.returncode == 0
