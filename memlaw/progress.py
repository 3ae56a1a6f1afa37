"""What is shown while a sweep trains: a live line on a terminal, lines in a log file."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from memlaw.status_file import DONE, FAILED, RUNNING, Status
from memlaw.tables import count, duration, print_failure

if TYPE_CHECKING:
    from memlaw.cost import CostModel
    from memlaw.planning import Plan


LINE_SECONDS = 60
"""Seconds between lines of progress where there is no terminal."""


@dataclass(frozen=True)
class Glance:
    """A sweep at one moment.

    Attributes:
        statuses: of its cells, in order.
        ended: how many of them are done or failed.
        eta_seconds: until all are, without early stops; None until a step has been taken.
        losses: of the running cells, in words.
    """

    statuses: list[Status]
    ended: int
    eta_seconds: float | None
    losses: str

    @property
    def eta(self) -> str:
        """The time left in words."""
        return "…" if self.eta_seconds is None else duration(self.eta_seconds)


class Watch:
    """Progress over a sweep, read from the cells' status files: live on a terminal, else in lines.

    Each cell weighs the seconds that the plan's cost model gives it, fitted anew to the cells that finish; the
    time that the steps so far took sets the scale.
    """

    def __init__(self, plan: "Plan", console: Console | None = None):
        self.plan = plan
        self.console = console or Console()
        self.cells = [cell for pack in plan.packs for cell in pack.cells]
        self.done = 0
        self.weights = self._weights(plan.cost)
        self.began: float | None = None
        self.reported: set[str] = set()

    def run(self, finished: Callable[[float], bool]) -> None:
        """Show progress until `finished`, called with the seconds it may wait, returns True."""
        show = self._show_live if self.console.is_terminal else self._show_lines
        show(finished)

    def _show_live(self, finished: Callable[[float], bool]) -> None:
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("ETA {task.fields[eta]}  {task.fields[losses]}"),
            console=self.console,
        )
        task = progress.add_task("sweep", total=len(self.cells), eta="…", losses="")
        with Live(progress, console=self.console, refresh_per_second=2):
            ended = False
            while not ended:
                ended = finished(1.0)
                glance = self.look()
                progress.update(task, completed=glance.ended, eta=glance.eta, losses=glance.losses)
                self._report(glance, (FAILED,))  # the bar counts the others

    def _show_lines(self, finished: Callable[[float], bool]) -> None:
        """A line for each cell that ends, and one a minute: for a log file."""
        ended, next_line = False, time.monotonic() + LINE_SECONDS
        while not ended:
            ended = finished(1.0)
            glance = self.look()
            self._report(glance, (DONE, FAILED))
            if time.monotonic() >= next_line and not ended:
                next_line += LINE_SECONDS
                progress = f"{glance.ended} of {count(len(self.cells), 'cell')} ended, ETA {glance.eta}"
                self.console.print(f"{progress}  {glance.losses}".rstrip(), soft_wrap=True, highlight=False)

    def _report(self, glance: Glance, states: Sequence[str]) -> None:
        """Print a line for each cell that is in one of the states, once."""
        for cell, status in zip(self.cells, glance.statuses, strict=True):
            if status.state not in states or cell.name in self.reported:
                continue
            self.reported.add(cell.name)
            if status.state == FAILED:
                print_failure(self.console, cell.name, status)
            else:
                loss = "" if status.loss_nats is None else f"  loss {status.loss_nats:.3f} nats"
                self.console.print(f"done {cell.name}{loss}", soft_wrap=True, highlight=False)

    def look(self) -> Glance:
        """How far the sweep is."""
        statuses = [cell.status for cell in self.cells]
        self._learn(statuses)
        shares = [status.trained_share for status in statuses]
        trained = sum(weight * share for weight, share in zip(self.weights, shares, strict=True))
        elapsed = time.monotonic() - self.began if self.began else 0.0
        running = [
            f"r{cell.config.lora.rank} ℓ{cell.config.seq_len}: {status.loss_nats:.2f}"
            for cell, status in zip(self.cells, statuses, strict=True)
            if status.state == RUNNING and status.loss_nats is not None
        ]
        return Glance(
            statuses,
            ended=sum(status.ended for status in statuses),
            eta_seconds=elapsed * (sum(self.weights) / trained - 1) if trained and elapsed else None,
            losses=f"loss {', '.join(running)}" if running else "",
        )

    def _weights(self, cost: "CostModel") -> list[float]:
        return [seconds for pack in self.plan.packs for seconds in pack.cell_seconds(cost)]

    def _learn(self, statuses: list[Status]) -> None:
        """Start the clock with the first step, and weigh the cells anew when one has finished."""
        if self.began is None and any(status.step is not None for status in statuses):
            self.began = time.monotonic()
        finished = [cell for cell, status in zip(self.cells, statuses, strict=True) if status.state == DONE]
        if len(finished) > self.done:
            self.done = len(finished)
            self.weights = self._weights(self.plan.cost_after(finished))
