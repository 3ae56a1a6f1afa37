"""Every command that a page tells users to run composes, parses or exists."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from functools import partial, partialmethod
from pathlib import Path

import pytest
from conftest import ROOT, composed

from memlaw.compose import compose_config, first_values

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def commands_of(page: Path) -> list[str]:
    """The lines of a page's shell blocks, without comments."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.split(" #")[0].strip() for line in lines if line.strip()]


COMMANDS = sorted({command for page in PAGES for command in commands_of(page)})
KINDS = {
    "training": re.compile(r"python -m memlaw\.(train|plan) "),
    "looking": re.compile(r"python -m memlaw\.(status|logs|doctor|sync|dashboard) "),
    "analysis": re.compile(r"python -m analysis\.\w+ "),
    "tool": re.compile(r"(wandb|trackio) "),
    "make": re.compile(r"make \w+"),
    "elsewhere": re.compile(r"(pip install|squeue|tail) "),
}


def of(*kinds: str) -> pytest.MarkDecorator:
    own = [command for command in COMMANDS if any(KINDS[kind].match(command) for kind in kinds)]
    return pytest.mark.parametrize("command", own)


def test_every_command_is_of_a_kind_that_is_known():
    assert [command for command in COMMANDS if not any(kind.match(command) for kind in KINDS.values())] == []


@of("training")
def test_training_commands_compose(command: str):
    overrides = [word for word in shlex.split(command)[3:] if word != "-m"]
    if overrides == ["--help"]:
        return
    compose_config(first_values(overrides), with_hydra=True)


@of("looking", "analysis")
def test_other_commands_parse(command: str, monkeypatch):
    _, _, module, *arguments = shlex.split(command)
    package = importlib.util.find_spec(module).submodule_search_locations
    parsed = []

    def stop(parse, self, *_):
        parsed.append(parse(self, arguments))
        raise KeyError("parsed")

    for name in ("parse_args", "parse_intermixed_args"):
        whole = getattr(argparse.ArgumentParser, name)
        monkeypatch.setattr(argparse.ArgumentParser, name, partialmethod(partial(stop, whole)))
    with pytest.raises(KeyError, match="parsed"):
        importlib.import_module(f"{module}.__main__" if package else module).main()
    composed(*getattr(parsed[0], "overrides", []))


@of("tool")
def test_tools_have_these_commands(command: str):
    name, word, *_ = command.split()
    shown = subprocess.run([Path(sys.executable).with_name(name), word, "--help"], capture_output=True)
    assert shown.returncode == 0


@of("make")
def test_make_targets_exist(command: str):
    assert subprocess.run(["make", "-n", command.split()[1]], cwd=ROOT, capture_output=True).returncode == 0
