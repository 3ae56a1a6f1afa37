import logging
from contextlib import contextmanager

import pytest
from helpers.liveness import gone, running
from helpers.rows import write_row

from memlaw.backends.backend import NoPacks
from memlaw.backends.this_process import ThisProcess
from memlaw.core.errors import ConfigError, SweepFailed
from memlaw.study import status as status_file
from memlaw.study.cell import Cell
from memlaw.study.survey import survey
from memlaw.sweep.run_sweep import run_sweep, select
from memlaw.training.pack import train_pack


@pytest.fixture
def study(tiny):
    """A cell in each state, by its name, and the config of one."""
    states = ("pending", "done", "failed", "running", "dead", "unreadable")
    made = [tiny("steps=3", "seq_len=8", f"seed={seed}") for seed in range(len(states))]
    cells = dict(zip(states, (cell for cell, _ in made), strict=True))
    for cell in cells.values():
        cell.plan()
    done = cells["done"]
    write_row(done.paths.directory, **done.flat, dtype="bfloat16")
    cells["done"].set_status("done")
    cells["failed"].set_status("failed", cause="a cause")
    running(cells["running"], 0)
    running(cells["dead"], 0, pid=gone())
    cells["unreadable"].paths.status.write_text("[]")
    return cells, made[0][1]


def chosen_by(cells: dict, rerun) -> list:
    grid = list(cells.values())
    return select(grid, survey(grid), rerun)


@pytest.mark.parametrize(
    ("rerun", "chosen"),
    [
        ("missing", "pending running dead unreadable"),
        ("failed", "pending failed running dead unreadable"),
        ("stale", "dead unreadable"),
        ("all", "pending done failed running dead unreadable"),
    ],
)
def test_each_policy_chooses_by_state(study, rerun: str, chosen: str):
    cells, _ = study
    assert chosen_by(cells, rerun) == [cells[state] for state in chosen.split()]


@pytest.mark.parametrize("by", ["name", "hash"])
def test_one_cell_is_chosen_by_name_or_hash_whatever_its_state(study, by: str):
    cells, _ = study
    assert chosen_by(cells, getattr(cells["done"], by)) == [cells["done"]]


@pytest.mark.parametrize("rerun", ["sometimes", "random", 12345678, None])
def test_anything_else_is_one_error_that_names_what_is_allowed(study, rerun):
    with pytest.raises(ConfigError, match=f"rerun={rerun} is not one of missing, failed, stale, all, nor the name"):
        chosen_by(study[0], rerun)


def test_stale_cells_are_trained_again_and_no_others(study, capsys, caplog):
    caplog.set_level(logging.INFO)
    cells, cfg = study
    chosen = [cells[state] for state in ("dead", "unreadable", "pending")]
    cfg.rerun = "stale"
    run_sweep(chosen, cfg, ThisProcess())
    assert [cell.state for cell in chosen] == ["done", "done", "pending"]
    assert "unreadable" not in capsys.readouterr().out
    logged = (chosen[0].study / "logs/main.log").read_text()
    assert all(f"done {cell.name}" in logged for cell in chosen[:2])


def test_a_cell_that_another_sweep_finishes_while_this_one_plans_stays_done(study):
    cells, cfg = study

    class Meanwhile(ThisProcess):
        def machine(self, cfg):
            train_pack([cells["pending"]], cfg)
            running(cells["dead"], 0, host="elsewhere")
            return super().machine(cfg)

        @contextmanager
        def submit(self, plan, settings):
            assert cells["pending"].state == "done"
            assert cells["dead"].state == "running"
            yield NoPacks()

        def account_for(self, unfinished, study):
            assert [one.name for one in unfinished] == [cells["dead"].name]

    run_sweep([cells["pending"], cells["dead"]], cfg, Meanwhile())


def test_a_directory_whose_config_is_no_cells_is_refused(study):
    cells, cfg = study
    for content in ("{", "- a list", "model: 3", ""):
        cells["pending"].paths.config.write_text(content)
        with pytest.raises(ConfigError, match="is not the config of a cell"):
            run_sweep([cells["pending"]], cfg, ThisProcess())


class Silent(ThisProcess):
    """A place that shows nothing of training, so that the sweep does."""

    prints = False


def test_a_sweep_shows_progress_where_training_does_not(study, capsys):
    cells, cfg = study
    run_sweep([cells["pending"]], cfg, Silent())
    assert f"done {cells['pending'].name}" in capsys.readouterr().out


def test_with_nothing_to_train_there_is_a_table_and_no_progress(study, monkeypatch, capsys):
    cells, cfg = study
    monkeypatch.setattr("memlaw.sweep.run_sweep.Watch", None)
    run_sweep([cells["done"]], cfg, Silent())
    assert "1 cell" in capsys.readouterr().out


def test_an_impossible_logger_is_one_error_that_names_it(study):
    cells, cfg = study
    cfg.logger.mode = "sometimes"
    with pytest.raises(ConfigError, match=r"logger\.mode=sometimes"):
        run_sweep([cells["pending"]], cfg, ThisProcess())


def test_each_status_is_read_a_fixed_number_of_times(study, monkeypatch):
    cells, cfg = study
    read = []
    look = status_file.read_status

    def counted(path):
        read.append(path)
        return look(path)

    monkeypatch.setattr("memlaw.study.survey.read_status", counted)
    monkeypatch.setattr("memlaw.study.cell.read_status", counted)
    run_sweep([cells["done"]], cfg, ThisProcess())
    assert read == [cells["done"].paths.status] * 2  # before and after


def test_the_config_of_a_cell_is_loaded_once_before_it_trains(study, monkeypatch):
    cells, cfg = study
    loaded, load = [], Cell.load
    monkeypatch.setattr(Cell, "load", lambda directory: loaded.append(directory.name) or load(directory))
    run_sweep([cells["pending"]], cfg, ThisProcess())
    assert loaded == [cells["pending"].name]


@pytest.mark.parametrize(("rerun", "stays"), [("missing", True), ("all", False)])
def test_a_sweep_of_all_forgets_checkpoints_and_another_resumes_them(study, monkeypatch, rerun: str, stays: bool):
    cells, cfg = study
    checkpoint = cells["pending"].paths.checkpoint
    checkpoint.write_text("state")
    there = []
    monkeypatch.setattr("memlaw.training.pack.train_pack", lambda *_: there.append(checkpoint.exists()))
    cfg.rerun = rerun
    with pytest.raises(SweepFailed, match="1 cell unfinished"):
        run_sweep([cells["pending"]], cfg, ThisProcess())
    assert there == [stays]
