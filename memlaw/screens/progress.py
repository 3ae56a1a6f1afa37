"""Show the progress of a sweep: a live line on a terminal, lines in a log file."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from memlaw.core.wording import count, duration
from memlaw.screens.eta import eta_seconds
from memlaw.screens.tables import print_failure
from memlaw.study.cell import Cell
from memlaw.study.status import DONE, FAILED, RUNNING
from memlaw.study.survey import Observation, survey

LINE_SECONDS = 60
"""Seconds between lines of progress where there is no terminal."""


@dataclass(frozen=True)
class Glance:
    """A sweep at one moment.

    Attributes:
        observations: observations of its cells.
    """

    observations: Sequence[Observation]

    @property
    def ended(self) -> int:
        """Count the cells that are done or failed."""
        return sum(observation.status.ended for observation in self.observations)

    @property
    def eta(self) -> str:
        """Return the time until all cells have ended in words, without early stops."""
        seconds = eta_seconds(self.observations)
        return "…" if seconds is None else duration(seconds)

    @property
    def losses(self) -> str:
        """Return the losses (nats per token) of the running cells, in words."""
        running = [_loss(observation) for observation in self.observations if observation.state == RUNNING]
        evaluated = [loss for loss in running if loss]
        return f"loss {', '.join(evaluated)}" if evaluated else ""


def _loss(observation: Observation) -> str:
    """Return a cell's rank, length and loss, as in `r4 ℓ256: 1.25`. Empty before its first evaluation."""
    if observation.cell is None or observation.status.loss_nats is None:
        return ""
    config = observation.cell.config
    return f"r{config.lora.rank} ℓ{config.seq_len}: {observation.status.loss_nats:.2f}"


class Watch:
    """The progress of a sweep, read from the cells' status files: live on a terminal, else in lines.

    Use it as a context, and call `update` while the cells train. At the end of the context it shows their outcomes.

    Args:
        cells: the cells that are trained.
        console: where to print; by default the standard output.
    """

    def __init__(self, cells: Sequence[Cell], console: Console | None = None):
        self.console = console or Console()
        self.cells = cells
        self.observations = survey(cells)
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
        """Observe the cells that have not ended, and show the changes."""
        before = zip(self.cells, self.observations, strict=True)
        self.observations = [old if old.status.ended else survey([cell])[0] for cell, old in before]
        for observation in self.observations:
            if observation.state in self.screen.states and observation.name not in self.reported:
                self.reported.add(observation.name)
                self._print_end(observation)
        self.screen.show(Glance(self.observations), last)

    def _print_end(self, observation: Observation) -> None:
        if observation.state == FAILED:
            print_failure(self.console, observation.name, observation.status)
            return
        loss = "" if observation.status.loss_nats is None else f"  loss {observation.status.loss_nats:.3f} nats"
        self.console.print(f"done {observation.name}{loss}", soft_wrap=True, highlight=False)


_OTHER_COLUMNS = 62
"""Width of the live line without the losses, which take what is left."""


class _Bar:
    """A live line that counts ended cells. Failures have a line each."""

    states = (FAILED,)
    """Final states for which a cell has its own line."""

    def __init__(self, console: Console, cells: int):
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
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
        losses = Text(glance.losses)
        losses.truncate(max(1, self.progress.console.width - _OTHER_COLUMNS), overflow="ellipsis")
        self.progress.update(self.task, completed=glance.ended, eta=glance.eta, losses=losses.plain)

    def stop(self) -> None:
        self.progress.stop()


class _Lines:
    """Lines for a log file: a line for each cell that ends, and a line a minute."""

    states = (DONE, FAILED)
    """Final states for which a cell has its own line."""

    def __init__(self, console: Console):
        self.console = console
        self.next_line = 0.0

    def start(self) -> None:
        self.next_line = time.monotonic() + LINE_SECONDS

    def show(self, glance: Glance, last: bool) -> None:
        if last or time.monotonic() < self.next_line:
            return
        self.next_line += LINE_SECONDS
        ended = f"{glance.ended} of {count(len(glance.observations), 'cell')} ended, ETA {glance.eta}"
        self.console.print(f"{ended}  {glance.losses}".rstrip(), soft_wrap=True, highlight=False)

    def stop(self) -> None:
        """Do nothing: the lines stay."""
