"""The time left of a study; the whole view of it is tested in `tests/unit/commands/test_status_command`."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from helpers.liveness import running
from helpers.rows import write_row

from memlaw.screens.eta import eta_seconds
from memlaw.study.survey import survey


@pytest.fixture
def cells(tiny) -> list:
    """Four planned cells of ten steps; a step of the second half takes twice the operations."""
    made = [tiny("steps=10", "seq_len=16", f"seed={seed}")[0] for seed in range(4)]
    for number, cell in enumerate(made):
        cell.plan(total_steps=10, step_flops=1e6 if number < 2 else 2e6)
    return made


def finish(cell, seconds: float, step_flops: float) -> None:
    write_row(cell.paths.directory, pack_size=1, step_flops=step_flops, worker_seconds=seconds, steps_trained=10)
    cell.set_status("done")


def test_without_a_running_cell_nothing_is_estimated(cells):
    finish(cells[0], 20, 1e6)
    assert eta_seconds(survey(cells)) is None


def test_cells_that_are_left_take_what_done_cells_took_by_their_operations(cells):
    finish(cells[0], 20, 1e6)
    running(cells[1], 0, step=5)
    assert eta_seconds(survey(cells)) == pytest.approx(10 + 40 + 40)


def test_workers_share_the_work_that_is_left(cells):
    finish(cells[0], 20, 1e6)
    running(cells[1], 0, step=5)
    running(cells[2], 0, host="elsewhere", step=0)
    assert eta_seconds(survey(cells)) == pytest.approx((10 + 40 + 40) / 2)


def test_the_first_cells_are_estimated_by_the_steps_that_they_have_taken(cells):
    began = datetime.now(UTC) - timedelta(seconds=50)
    running(cells[0], 0, started=began, step=5)
    expected = (time.time() - began.timestamp()) / 5 * (5 + 10 + 2 * 20)
    assert eta_seconds(survey(cells)) == pytest.approx(expected, rel=0.05)


def test_before_the_first_step_nothing_is_estimated(cells):
    running(cells[0], 0)
    assert eta_seconds(survey(cells)) is None
