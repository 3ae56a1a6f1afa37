"""Cells with offline W&B runs, as training writes them."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.rows import write_row
from memlaw.study.cell import Cell
from memlaw.tracking.tracker import Tracker
from memlaw.tracking.wandb_service import WandbService

STEPS = (0, 1, 2, 5, 10)


def recorded_study(tiny: Callable, name: str) -> list[Cell]:
    """Make done cells of three ranks, each with an offline run."""
    cells = [tiny(f"lora.rank={rank}", f"study={name}")[0] for rank in (1, 2, 3)]
    for cell in cells:
        cell.plan()
        write_row(cell.paths.directory)
        cell.set_status("done")
    record_runs(cells, STEPS)
    return cells


def record_runs(cells: Sequence[Cell], steps: Sequence[int]) -> None:
    """Write an offline run of each cell that ends with the last of the steps."""
    tracker = Tracker(WandbService("offline", "project", "me", timeout_s=60, stagger_s=0))
    for cell in cells:
        mirror = tracker.start(cell)
        for step in steps:
            stubborn = 8 if step < steps[-1] else None
            mirror.log(step, {"loss_nats": 1.0 / (1 + step), "first_stubborn": stubborn}, np.ones(3))
        mirror._end(lambda run: run.finish({"delta_loss_nats": 1.5, "steps_trained": steps[-1]}))
    tracker.drain()
