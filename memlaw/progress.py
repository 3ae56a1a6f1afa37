"""The live line that the terminal shows while a sweep trains."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from memlaw.cell import DONE, FAILED, RUNNING
from memlaw.tables import duration, print_failure

if TYPE_CHECKING:
    from memlaw.plan import Pack


class Watch:
    """Live progress over a sweep, read from the cells' status files.

    Each cell weighs what the plan expects of it; the time that the steps so far took sets the scale.
    """

    def __init__(self, packs: "Sequence[Pack]"):
        self.cells = [cell for pack in packs for cell in pack.cells]
        self.weights = [seconds for pack in packs for seconds in pack.cell_seconds]
        self.began = time.monotonic()
        self.reported: set[str] = set()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("ETA {task.fields[eta]}  {task.fields[losses]}"),
            console=Console(),
        )

    def run(self, finished: Callable[[float], bool]) -> None:
        """Show progress until `finished`, called with the seconds it may wait, returns True."""
        task = self.progress.add_task("sweep", total=len(self.cells), eta="…", losses="")
        with Live(self.progress, console=self.progress.console, refresh_per_second=2):
            while True:
                ended = finished(1.0)
                self._update(task)
                if ended:
                    return

    def _update(self, task: TaskID) -> None:
        statuses = [cell.status for cell in self.cells]
        share = [self._share(status) for status in statuses]
        done = sum(weight * part for weight, part in zip(self.weights, share, strict=True))
        elapsed = time.monotonic() - self.began
        eta = elapsed * (sum(self.weights) / done - 1) if done else None
        running = [
            f"r{cell.config.lora.rank} ℓ{cell.config.seq_len}: {status['loss_nats']:.2f}"
            for cell, status in zip(self.cells, statuses, strict=True)
            if status["state"] == RUNNING and "loss_nats" in status
        ]
        self.progress.update(
            task,
            completed=sum(status["state"] in (DONE, FAILED) for status in statuses),
            eta="…" if eta is None else duration(eta),
            losses=("loss " + ", ".join(running)) if running else "",
        )
        for cell, status in zip(self.cells, statuses, strict=True):
            if status["state"] == FAILED and cell.name not in self.reported:
                self.reported.add(cell.name)
                print_failure(self.progress.console, cell)

    @staticmethod
    def _share(status: dict) -> float:
        if status["state"] in (DONE, FAILED):
            return 1.0
        return status["step"] / status["total_steps"] if "step" in status else 0.0
