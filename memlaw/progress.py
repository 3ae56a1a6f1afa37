"""The live line that the terminal shows while a sweep trains."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from memlaw.cell import DONE, FAILED, RUNNING
from memlaw.tables import duration, print_failure

if TYPE_CHECKING:
    from memlaw.cost import CostModel
    from memlaw.plan import Plan


class Watch:
    """Live progress over a sweep, read from the cells' status files.

    Each cell weighs the seconds that the plan's cost model gives it, fitted anew to the cells that finish; the
    time that the steps so far took sets the scale.
    """

    def __init__(self, plan: "Plan"):
        self.plan = plan
        self.cells = [cell for pack in plan.packs for cell in pack.cells]
        self.done = 0
        self.weights = self._weights(plan.cost)
        self.began: float | None = None
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
        self._learn(statuses)
        share = [trained_share(status) for status in statuses]
        done = sum(weight * part for weight, part in zip(self.weights, share, strict=True))
        elapsed = time.monotonic() - self.began if self.began else 0.0
        eta = elapsed * (sum(self.weights) / done - 1) if done and elapsed else None
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

    def _weights(self, cost: "CostModel") -> list[float]:
        return [seconds for pack in self.plan.packs for seconds in pack.cell_seconds(cost)]

    def _learn(self, statuses: list[dict]) -> None:
        """Start the clock with the first step, and weigh the cells anew when one has finished."""
        if self.began is None and any("step" in status for status in statuses):
            self.began = time.monotonic()
        finished = [cell for cell, status in zip(self.cells, statuses, strict=True) if status["state"] == DONE]
        if len(finished) > self.done:
            self.done = len(finished)
            self.weights = self._weights(self.plan.cost_after(finished))


def trained_share(status: dict) -> float:
    """How much of its steps a cell has taken, from 0 to 1; what ended counts whole."""
    if status["state"] in (DONE, FAILED):
        return 1.0
    return status["step"] / status["total_steps"] if "step" in status and status.get("total_steps") else 0.0
