"""A study of an earlier version: it is read, reported and trained on.

Its frozen configs name code where it stood before modules moved, and lack later keys.
"""

import json
import re
from collections.abc import Callable

import pytest
from helpers import packs
from helpers.configs import FAST
from helpers.study_files import results, states, statuses
from memlaw_analysis.commands import report
from omegaconf import OmegaConf

from memlaw import status
from memlaw.backends.slurm.job import _unended
from memlaw.study.cell import Cell
from memlaw.study.identity import LATER_KEYS
from memlaw.training.pack import train_pack

OLD = {
    "memlaw.models.random_weights.RandomModel": "memlaw.random_model.RandomModel",
    "memlaw.methods.memft.Plain": "memlaw.memft.Plain",
    "memlaw.data.long_context.fictional": "memlaw.texts.fictional",
}
"""Where the code of a tiny cell is → a place where it is not."""
GRID = ("steps=50", "stop.when_recalled=false", "lora.rank=2")


def _age(cell: Cell) -> None:
    """Write the cell's config, and its result, as a version of the older layout did."""
    later = "|".join(key.split(".")[1] for key in LATER_KEYS)
    text = re.sub(rf"^  ({later}): .+\n", "", cell.paths.config.read_text(), flags=re.MULTILINE)
    cell.paths.config.write_text(re.sub(r"(?<=_target_: ).+", lambda found: OLD[found[0]], text))
    assert "memlaw.random_model" in cell.paths.config.read_text()
    assert "init:" not in cell.paths.config.read_text()
    if cell.paths.result.exists():
        row = json.loads(cell.paths.result.read_text())
        cell.paths.result.write_text(json.dumps({key: row[key] for key in row if key not in LATER_KEYS}))


@pytest.fixture
def old(tiny: Callable) -> tuple[Cell, Cell]:
    """A cell that is done and one that is only planned, in a study of the older layout."""
    done, cfg = tiny(*GRID, "seq_len=40")
    unfinished, _ = tiny(*GRID, "seq_len=16")
    packs.train([done], cfg)
    unfinished.plan()
    for cell in (done, unfinished):
        _age(cell)
    return done, unfinished


def test_it_is_read(old: tuple[Cell, Cell], call):
    done, unfinished = old
    assert [Cell.load(cell.paths.directory).hash for cell in old] == [done.hash, unfinished.hash]
    shown = call(status, done.study, "--json")
    assert {cell["cell"]: cell["state"] for cell in json.loads(shown.stdout)["cells"]} == {
        done.name: "done",
        unfinished.name: "pending",
    }
    assert call(report, done.study).returncode == 0
    assert (done.study / "report/report.html").exists()


def test_the_same_sweep_trains_what_is_unfinished_and_nothing_else(old: tuple[Cell, Cell], train):
    done, _ = old
    before = done.paths.result.stat().st_mtime_ns
    again = train("-m", *FAST, *GRID, "seq_len=40,16")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "1 cell to train in 1 pack" in again.stdout
    assert set(states(done.study).values()) == {"done"}
    assert set(results(done.study)) == {(2, 40), (2, 16)}
    assert statuses(done.study)[done.name]["attempt"] == 1
    assert done.paths.result.stat().st_mtime_ns == before
    assert "memlaw.random_model" in done.paths.config.read_text()  # what nobody trains is left as it is


def test_a_job_finds_the_code_of_a_cell_that_is_planned_again(old: tuple[Cell, Cell], tiny: Callable):
    """A Slurm job has only the frozen config to go by."""
    _, unfinished = old
    unfinished.plan()
    (loaded,) = _unended(str(unfinished.study), [unfinished.name])
    assert loaded.config.model._target_ in OLD
    assert loaded.config.lora.dtype == "fp32"
    _, settings = tiny()
    train_pack([loaded], OmegaConf.masked_copy(settings, ["trainer", "logger", "checkpoint"]))
    assert loaded.status.cause is None and loaded.state == "done"


def test_a_job_that_was_queued_before_fails_its_cell_with_the_name(old: tuple[Cell, Cell], tiny: Callable):
    _, unfinished = old
    _, settings = tiny()
    train_pack([Cell.load(unfinished.paths.directory)], settings)
    assert unfinished.state == "failed"
    assert "memlaw.random_model.RandomModel" in str(unfinished.status.cause)
