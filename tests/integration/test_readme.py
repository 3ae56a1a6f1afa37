"""The README and the pages under docs/ tell the truth: their tables, links, names and generated parts."""

import importlib
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from helpers.configs import composed
from helpers.pages import PAGES, README, ROOT, commands_of
from omegaconf import OmegaConf

from memlaw.study.records import RESULT_COLUMNS, TOKEN_COLUMNS

CONFIGURATION, OUTPUT = ROOT / "docs/configuration.md", ROOT / "docs/output.md"
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def rows_of(page: Path) -> list[list[str]]:
    """The rows of a page's tables, heads and rules left out."""
    lines = page.read_text(encoding="utf-8").splitlines()
    cells = [re.split(r"(?<!\\) \| ", line.strip("|").strip()) for line in lines if line.startswith("| `")]
    return [[cell.replace("\\|", "|").strip() for cell in row] for row in cells]


def test_the_readme_is_short():
    assert len(README.read_bytes()) <= 8000


def test_the_sweep_of_the_readme_is_what_make_sweep_runs():
    assert {command.split()[1] for command in commands_of(README) if command.startswith("make")} >= {"sweep", "test"}
    recipe = (ROOT / "Makefile").read_text().split("\nsweep:")[1].split("\n\n")[0]
    block = README.read_text(encoding="utf-8").split("`make sweep` runs")[1].split("```bash\n")[1].split("```")[0]
    for command in block.splitlines():
        assert command.removeprefix("python") in recipe


@every_page
def test_the_generated_parts_are_up_to_date(page: Path):
    text = page.read_text(encoding="utf-8")
    assert runpy.run_path(str(ROOT / "docs/generate.py"))["filled"](text) == text, "run `make docs`"


def test_the_readme_has_ten_keys_with_their_defaults():
    cfg, table = composed(), README.read_text(encoding="utf-8").split("| key | default |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", table, re.MULTILINE)
    assert len(rows) == 10
    for key, default in rows:
        if key == "hydra/launcher":
            assert f"override hydra/launcher: {default.strip('`')}" in (ROOT / "conf/config.yaml").read_text()
            continue
        value = OmegaConf.select(cfg, key)
        assert str(value.name if OmegaConf.is_dict(value) else value) == default.strip("`"), key


def leaves(config: dict, prefix: str = "") -> Iterator[str]:
    """The dotted names of all keys that are no group of keys."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key


def test_every_key_is_explained():
    explained = {row[0].strip("`"): row[2] for row in rows_of(CONFIGURATION) if len(row) > 2}
    assert {key for key, meaning in explained.items() if not meaning} == set()
    keys = {key for key in leaves(OmegaConf.to_container(composed())) if not key.endswith("_target_")}
    assert keys - set(explained) == set()


def test_the_column_tables_are_the_schemas():
    rows = rows_of(OUTPUT)
    assert all([f"`{name}`", meaning] in rows for name, meaning in RESULT_COLUMNS.items())
    assert all([f"`{name}`", dtype, meaning] in rows for name, (dtype, meaning) in TOKEN_COLUMNS.items())


def anchors_of(page: Path) -> set[str]:
    """The names under which GitHub links a page's headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@every_page
def test_links_lead_somewhere(page: Path):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith("https://"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@every_page
def test_names_of_modules_exist(page: Path):
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for name in re.findall(r"`((?:memlaw|analysis)(?:\.\w+)+)`", prose):
        assert exists(name), name


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or a member of one."""
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        module, _, member = name.rpartition(".")
        return bool(module) and hasattr(importlib.import_module(module), member)
    return True


@every_page
def test_folders_and_files_exist(page: Path):
    for path in re.findall(
        r"`((?:conf|launchers|tests|analysis|memlaw|docs|benchmarks)/[\w/.]*)`", page.read_text("utf-8")
    ):
        assert (ROOT / path).exists(), path
