import re
from io import StringIO
from types import SimpleNamespace

import pytest
from rich.console import Console
from rows import write_row

from memlaw import progress
from memlaw.machine import Machine
from memlaw.planning import make_plan
from memlaw.progress import Watch


def finish(cell, pack_size: int, step_flops: float, worker_seconds: float) -> None:
    write_row(cell.paths.directory, pack_size=pack_size, step_flops=step_flops, worker_seconds=worker_seconds)
    cell.set_status("done")


def test_finished_cells_set_the_weights_of_the_rest(tiny):
    made = [tiny(f"seq_len={length}", "steps=10") for length in (16, 32, 64)]
    cells, cfg = [cell for cell, _ in made], made[0][1]
    for cell in cells:
        cell.plan()
    watch = Watch(make_plan(cells, cfg, Machine.here("cpu", workers=1)))
    glance = watch.look()
    assert (glance.ended, glance.eta, glance.losses) == (0, "…", "")
    assert watch.began is None  # workers are still starting
    guessed = watch.weights
    assert guessed == sorted(guessed)
    cells[0].set_status("running", step=3, total_steps=10)
    watch._learn([cell.status for cell in cells])
    assert watch.began is not None
    finish(cells[0], pack_size=1, step_flops=1e6, worker_seconds=20)
    finish(cells[1], pack_size=1, step_flops=1e9, worker_seconds=20)  # a step takes 2 s, however large
    watch._learn([cell.status for cell in cells])
    assert watch.weights == pytest.approx([20, 20, 20], rel=0.01)


def end(cell, loss_nats: float) -> None:
    finish(cell, pack_size=1, step_flops=1e6, worker_seconds=20)
    cell.set_status("done", loss_nats=loss_nats)


@pytest.fixture
def three(tiny, monkeypatch):
    """A watch over three planned cells that prints into a file, and its clock."""
    made = [tiny(f"lora.rank={rank}", "seq_len=16", "steps=10") for rank in (1, 2, 4)]
    cells, cfg = [cell for cell, _ in made], made[0][1]
    for cell in cells:
        cell.plan()
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(progress, "time", clock)
    printed = StringIO()
    return cells, Watch(make_plan(cells, cfg, Machine.here("cpu", workers=1)), Console(file=printed)), clock, printed


def test_without_a_terminal_there_is_a_line_for_each_cell_that_ends_and_one_a_minute(three):
    cells, watch, clock, printed = three

    def events():
        cells[0].set_status("running", step=5, total_steps=10, loss_nats=3.25)
        yield 20
        end(cells[0], 0.5)
        yield 30
        cells[1].set_status("running", step=5, total_steps=10, loss_nats=1.25)
        yield 50
        cells[1].set_status("failed", cause="diverged")
        yield 110
        end(cells[2], 0.125)
        yield 120

    happening = events()

    def finished(_: float) -> bool:
        clock.now = float(next(happening))
        return clock.now == 120

    watch.run(finished)
    first, second, minute, third = printed.getvalue().splitlines()
    assert first == f"done {cells[0].name}  loss 0.500 nats"
    assert second == f"failed {cells[1].name}: diverged"
    assert re.fullmatch(r"2 of 3 cells ended, ETA \d+ s", minute)
    assert third == f"done {cells[2].name}  loss 0.125 nats"


def test_on_a_terminal_a_bar_counts_and_failures_alone_have_a_line(three):
    cells, watch, _, printed = three
    watch.console = Console(file=printed, force_terminal=True, width=100)
    end(cells[0], 0.5)
    cells[1].set_status("failed", cause="diverged")
    watch.run(lambda _: True)
    shown = printed.getvalue()
    assert "2/3" in shown
    assert f"{cells[1].name}: diverged" in shown
    assert cells[0].name not in shown
