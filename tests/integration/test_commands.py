"""Every command that a page tells users to run composes, parses or exists; those that look at a study run."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from functools import partial, partialmethod
from pathlib import Path

import pytest
from helpers.checkout import ROOT
from helpers.configs import composed
from helpers.pages import PAGES, blocks, commands_of
from helpers.studies import BASE_LOSS, write_cell
from memlaw_analysis.advice import data_bits
from memlaw_analysis.law.forms import Inputs, saturating

import memlaw
from memlaw import __main__ as console
from memlaw.config.compose import compose_config, first_values

COMMANDS = list(dict.fromkeys(command for page in PAGES for command in commands_of(page)))
KINDS = {
    "training": re.compile(r"(python -m memlaw\.|memlaw )(train|plan) "),
    "parsed": re.compile(rf"memlaw ({'|'.join(set(console.COMMANDS) - {'train', 'plan'})}) "),
    "list": re.compile(r"memlaw --help"),
    "tool": re.compile(r"(wandb|trackio) "),
    "make": re.compile(r"make \w+"),
    "elsewhere": re.compile(r"(pip install|squeue|tail) "),
}


def of(kind: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("command", [command for command in COMMANDS if KINDS[kind].match(command)])


def arguments_of(command: str) -> list[str]:
    """The words behind the command's name."""
    return shlex.split(command.removeprefix("python -m memlaw.").removeprefix("memlaw "))[1:]


def test_every_command_is_of_one_kind():
    kinds = {command: [kind for kind, words in KINDS.items() if words.match(command)] for command in COMMANDS}
    assert {command: found for command, found in kinds.items() if len(found) != 1} == {}


def test_every_command_of_the_console_script_is_on_a_page():
    named = {command.removeprefix("python -m memlaw.").removeprefix("memlaw ").split()[0] for command in COMMANDS}
    assert set(console.COMMANDS) <= named


@of("training")
def test_training_commands_compose(command: str):
    overrides = [word for word in arguments_of(command) if word != "-m"]
    if overrides == ["--help"]:
        return
    compose_config(first_values(overrides), with_hydra=True)


@of("parsed")
def test_other_commands_parse(command: str, monkeypatch):
    arguments, parsed = arguments_of(command), []

    def stop(parse, self, *_):
        parsed.append(parse(self, arguments))
        raise KeyError("parsed")

    for name in ("parse_args", "parse_intermixed_args"):
        whole = getattr(argparse.ArgumentParser, name)
        monkeypatch.setattr(argparse.ArgumentParser, name, partialmethod(partial(stop, whole)))
    with pytest.raises(KeyError, match="parsed"):
        importlib.import_module(console.COMMANDS[command.split()[1]].module).main()
    composed(*getattr(parsed[0], "overrides", []))
    for word in arguments:
        assert not word.startswith(("docs/", "analysis/", "conf/")) or (ROOT / word).exists()


@of("tool")
def test_tools_have_these_commands(command: str):
    name, word, *_ = command.split()
    shown = subprocess.run([Path(sys.executable).with_name(name), word, "--help"], capture_output=True)
    assert shown.returncode == 0


@of("make")
def test_make_targets_exist(command: str):
    assert subprocess.run(["make", "-n", command.split()[1]], cwd=ROOT, capture_output=True).returncode == 0


def write_saturating_study(study: Path) -> None:
    """Cells of a known saturating law, which recall the more the lower their loss."""
    for rank in (1, 2, 4, 8, 16):
        for length in (64, 256, 1024):
            delta_loss = float(saturating(Inputs.grid(rank, length, BASE_LOSS), C=120.0, alpha=0.7, beta=0.6, q=4.0))
            write_cell(
                study,
                rank,
                length,
                cell=f"m-long_context-sft-r{rank}-l{length}-s0",
                delta_loss_nats=delta_loss,
                loss_nats=BASE_LOSS - delta_loss,
                recalled_share=min(1.0, 1.3 * (delta_loss / BASE_LOSS) ** 3),
            )


@pytest.mark.parametrize("names", ["status|logs|advise", pytest.param("report", marks=pytest.mark.slow)])
def test_commands_that_look_at_a_study_run(names: str, tmp_path: Path, monkeypatch, call):
    write_saturating_study(tmp_path / "runs/default")
    monkeypatch.chdir(tmp_path)
    Path("facts.jsonl").write_text("a row\n" * 20)
    monkeypatch.setattr(data_bits, "VERIFY", (sys.executable, str(ROOT / "tests/helpers/verify_stand_in.py")))
    commands = [command for command in COMMANDS if re.match(rf"memlaw ({names}) runs/default\b", command)]
    assert len(commands) > 1
    for command in commands:
        ended = call(console, *shlex.split(command)[1:])
        assert ended.returncode == 0, ended.output
        assert ended.stdout


def test_the_example_for_notebooks_runs(tmp_path: Path, monkeypatch, capsys):
    write_saturating_study(tmp_path / "runs/default")
    monkeypatch.chdir(tmp_path)
    trained = []
    monkeypatch.setattr(memlaw, "train", lambda overrides: trained.append(overrides) or "runs/default", raising=False)
    (example,) = blocks(ROOT / "README.md", "python")
    exec(compile(example, "the README", "exec"), {})
    assert "alpha" in capsys.readouterr().out
    assert trained == [["lora.rank=1,4,16", "seq_len=64,256,1024"]]
