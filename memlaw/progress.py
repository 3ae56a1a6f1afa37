"""What is shown while a sweep trains: a live line on a terminal, lines in a log file."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from memlaw.cell import Cell
from memlaw.eta import eta_seconds
from memlaw.status_file import DONE, FAILED, RUNNING
from memlaw.survey import Observation, survey
from memlaw.tables import count, duration, print_failure

LINE_SECONDS = 60
"""Seconds between lines of progress where there is no terminal."""


@dataclass(frozen=True)
class Glance:
    """A sweep at one moment.

    Attributes:
        seen: its cells.
    """

    seen: Sequence[Observation]

    @property
    def ended(self) -> int:
        """Return how many cells are done or failed."""
        return sum(one.status.ended for one in self.seen)

    @property
    def eta(self) -> str:
        """Return the time until all cells have ended, without early stops, in words."""
        seconds = eta_seconds(self.seen)
        return "…" if seconds is None else duration(seconds)

    @property
    def losses(self) -> str:
        """Return the losses (nats per token) of the running cells, in words."""
        running = [
            f"r{one.cell.config.lora.rank} ℓ{one.cell.config.seq_len}: {one.status.loss_nats:.2f}"
            for one in self.seen
            if one.cell and one.state == RUNNING and one.status.loss_nats is not None
        ]
        return f"loss {', '.join(running)}" if running else ""


class Watch:
    """Progress over a sweep, read from the cells' status files: live on a terminal, else in lines.

    Use it as a context, and call `update` while the cells train. On leaving, it shows how they ended.

    Args:
        cells: the cells that are trained.
        console: where to show it; the standard output by default.
    """

    def __init__(self, cells: Sequence[Cell], console: Console | None = None):
        self.console = console or Console()
        self.seen = survey(cells)
        self.reported: set[str] = set()
        self.screen = _Bar(self.console, len(cells)) if self.console.is_terminal else _Lines(self.console)

    def __enter__(self) -> Self:
        self.screen.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.update(last=True)
        finally:
            self.screen.stop()

    def update(self, last: bool = False) -> None:
        """Look at the cells that have not ended, and show what has changed."""
        fresh = iter(survey(one.cell for one in self.seen if one.cell and not one.status.ended))
        self.seen = [one if one.status.ended else next(fresh) for one in self.seen]
        for one in self.seen:
            if one.state in self.screen.states and one.name not in self.reported:
                self.reported.add(one.name)
                self._print_end(one)
        self.screen.show(Glance(self.seen), last)

    def _print_end(self, one: Observation) -> None:
        if one.state == FAILED:
            print_failure(self.console, one.name, one.status)
            return
        loss = "" if one.status.loss_nats is None else f"  loss {one.status.loss_nats:.3f} nats"
        self.console.print(f"done {one.name}{loss}", soft_wrap=True, highlight=False)


class _Bar:
    """A live line. It counts the cells that are done; only failures have lines of their own."""

    states = (FAILED,)
    """Cells that end so have a line each."""

    def __init__(self, console: Console, cells: int):
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("cells"),
            TimeElapsedColumn(),
            TextColumn("ETA {task.fields[eta]}  {task.fields[losses]}"),
            console=console,
            refresh_per_second=2,
        )
        self.task = self.progress.add_task("sweep", total=cells, eta="…", losses="")

    def start(self) -> None:
        self.progress.start()

    def show(self, glance: Glance, last: bool) -> None:
        self.progress.update(self.task, completed=glance.ended, eta=glance.eta, losses=glance.losses)

    def stop(self) -> None:
        self.progress.stop()


class _Lines:
    """Lines for a log file: one for each cell that ends, and one a minute."""

    states = (DONE, FAILED)
    """Cells that end so have a line each."""

    def __init__(self, console: Console):
        self.console = console
        self.next_line = 0.0

    def start(self) -> None:
        self.next_line = time.monotonic() + LINE_SECONDS

    def show(self, glance: Glance, last: bool) -> None:
        if last or time.monotonic() < self.next_line:
            return
        self.next_line += LINE_SECONDS
        ended = f"{glance.ended} of {count(len(glance.seen), 'cell')} ended, ETA {glance.eta}"
        self.console.print(f"{ended}  {glance.losses}".rstrip(), soft_wrap=True, highlight=False)

    def stop(self) -> None:
        """Leave the lines as they are."""
