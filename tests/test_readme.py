"""The README tells the truth: its tree, its commands, its defaults and its column tables."""

import re

import pytest
from conftest import ROOT, composed
from omegaconf import OmegaConf
from test_commands import commands_of

from memlaw.records import RESULT_COLUMNS, TOKEN_COLUMNS

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_two_commands_stand_there():
    assert any(command.startswith("make sweep") for command in commands_of(ROOT / "README.md"))
    assert any(command.startswith("make test") for command in commands_of(ROOT / "README.md"))


def test_the_sweep_of_the_readme_is_what_make_sweep_runs():
    makefile = (ROOT / "Makefile").read_text()
    block = README.split("`make sweep` runs")[1].split("```bash\n")[1].split("```")[0]
    for command in block.splitlines():
        assert command.removeprefix("python") in makefile


def test_the_tree_names_every_module_and_nothing_else():
    tree = README.split("## Tree")[1].split("```")[1]
    named = set(re.findall(r"[\w/]+\.py", tree))
    folders = ("memlaw", "memlaw/backends", "memlaw/backends/slurm", "memlaw/dashboard", "memlaw/data", "memlaw/doctor",
               "memlaw/tracking", "analysis", "launchers/hydra_plugins/memlaw_launchers")  # fmt: skip
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
