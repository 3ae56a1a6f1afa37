import pytest
from rows import write_row

from memlaw.plan import Machine, make_plan
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
    watch._update(task=watch.progress.add_task("sweep", eta="", losses=""))
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
