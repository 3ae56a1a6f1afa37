import re
from io import StringIO
from types import SimpleNamespace

import pytest
from helpers.rows import write_row
from rich.console import Console

from memlaw.screens import progress
from memlaw.screens.progress import Glance, Watch
from memlaw.study.survey import survey


def end(cell, loss_nats: float) -> None:
    write_row(cell.paths.directory, pack_size=1, step_flops=1e6, worker_seconds=20, steps_trained=10)
    cell.set_status("done", loss_nats=loss_nats)


@pytest.fixture
def three(tiny, monkeypatch):
    """Three planned cells, a clock, and what is printed of them without a terminal."""
    cells = [tiny(f"lora.rank={rank}", "seq_len=16", "steps=10")[0] for rank in (1, 2, 4)]
    for cell in cells:
        cell.plan(total_steps=10, step_flops=1e6)
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(progress, "time", clock)
    return cells, clock, StringIO()


def test_before_the_first_step_nothing_is_foretold(three):
    cells, _, _ = three
    glance = Glance(survey(cells))
    assert (glance.ended, glance.eta, glance.losses) == (0, "…", "")


def test_running_cells_have_losses_and_finished_ones_tell_the_time_left(three):
    cells, _, _ = three
    cells[0].start()
    cells[0].set_status("running", step=5, loss_nats=3.25)
    assert Glance(survey(cells)).losses == "loss r1 ℓ16: 3.25"
    end(cells[1], 0.5)  # 20 s for its ten steps
    glance = Glance(survey(cells))
    assert (glance.ended, glance.eta) == (1, "30 s")


def test_without_a_terminal_there_is_a_line_for_each_cell_that_ends_and_one_a_minute(three):
    cells, clock, printed = three
    with Watch(cells, Console(file=printed)) as watch:
        cells[0].start()
        cells[0].set_status("running", step=5, loss_nats=3.25)
        clock.now = 20.0
        watch.update()
        end(cells[0], 0.5)
        clock.now = 30.0
        watch.update()
        cells[1].start()
        cells[1].set_status("running", step=5, loss_nats=1.25)
        clock.now = 61.0
        watch.update()
        cells[1].set_status("failed", cause="diverged")
        clock.now = 110.0
        watch.update()
        end(cells[2], 0.125)
    first, minute, second, third = printed.getvalue().splitlines()
    assert first == f"done {cells[0].name}  loss 0.500 nats"
    assert re.fullmatch(r"1 of 3 cells ended, ETA 30 s  loss r2 ℓ16: 1.25", minute)
    assert second == f"failed {cells[1].name}: diverged"
    assert third == f"done {cells[2].name}  loss 0.125 nats"


def test_on_a_terminal_a_bar_counts_and_failures_alone_have_a_line(three):
    cells, _, printed = three
    with Watch(cells, Console(file=printed, force_terminal=True, width=100)):
        end(cells[0], 0.5)
        cells[1].set_status("failed", cause="diverged")
    shown = printed.getvalue()
    assert "2/3" in shown
    assert f"{cells[1].name}: diverged" in shown
    assert cells[0].name not in shown


def test_cells_that_have_ended_are_not_read_again(three, monkeypatch):
    cells, _, printed = three
    end(cells[0], 0.5)
    read = []

    def counted(looked_at):
        looked_at = list(looked_at)
        read.append([cell.name for cell in looked_at])
        return survey(looked_at)

    with Watch(cells, Console(file=printed)) as watch:
        monkeypatch.setattr(progress, "survey", counted)
        watch.update()
        end(cells[1], 0.5)
    assert read == [[cells[1].name], [cells[2].name]] * 2


def test_an_interrupted_watch_leaves_the_terminal_and_says_no_more(three):
    cells, _, printed = three
    watch = Watch(cells, Console(file=printed))
    end(cells[0], 0.5)
    with pytest.raises(KeyboardInterrupt), watch:
        raise KeyboardInterrupt
    assert printed.getvalue() == ""


def test_a_narrow_terminal_shows_the_count_and_the_time_left_before_the_losses(three):
    cells, _, _ = three
    for cell in cells:
        cell.start()
        cell.set_status("running", step=5, loss_nats=3.25)
    printed = StringIO()
    console = Console(file=printed, width=80, force_terminal=True, color_system=None)
    with Watch(cells, console) as watch:
        watch.update()
    line = next(line for line in reversed(printed.getvalue().split("\r")) if "ETA" in line)
    assert re.search(r"sweep.* 0/3 +cells.*ETA .*loss r1 ℓ16.*…", line)
