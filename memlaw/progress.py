"""What the terminal shows of a study: a table of its cells, and a live line while they train."""

import json
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from memlaw.cell import DONE, FAILED, RUNNING, Cell

_COLOURS = {DONE: "green", RUNNING: "yellow", FAILED: "red"}


def print_study(cells: Sequence[Cell]) -> None:
    """Print the table of cells and the directory of their study."""
    console = Console()
    console.print()
    console.print(study_table(cells))
    for cell in cells:
        if cell.state == FAILED:
            console.print(
                f"[red]failed[/] {cell.name}: {escape(cell.status['cause'])}", soft_wrap=True, highlight=False
            )
    for study in dict.fromkeys(cell.study for cell in cells):
        console.print(f"Study: {study}", soft_wrap=True, highlight=False)


def _print_failure(console: Console, name: str, cause: str) -> None:
    console.print(f"[red]failed[/] {name}: {escape(cause)}", soft_wrap=True, highlight=False)


def study_table(cells: Sequence[Cell]) -> Table:
    """A row per cell: what it is, its state, and once done its losses (nats per token) and cost."""
    varied = varied_keys(cells)
    headings = [key.rpartition(".")[2] for key in varied]
    if len(set(headings)) < len(headings):
        headings = varied
    table = Table(
        *headings, "state", title=f"{len(cells)} cell{'s' * (len(cells) > 1)}", title_justify="left", box=None
    )
    for heading in ("L0", "L", "ΔL", "p>0.5", "bits/par", "steps", "s"):
        table.add_column(heading, justify="right")
    for cell in cells:
        status = cell.status
        state = status["state"]
        row = [escape(str(cell.flat[key])) for key in varied]
        row.append(f"[{_COLOURS.get(state, 'white')}]{state}[/]")
        if state == DONE:
            r = json.loads(cell.paths.result.read_text(encoding="utf-8"))
            row += [f"{r[key]:.3f}" for key in ("base_loss_nats", "loss_nats", "delta_loss_nats")]
            row += [f"{r['recalled_share']:.1%}", f"{r['bits_per_parameter']:.2f}"]
            row += [f"{r['steps_trained']}", f"{r['seconds']:.0f}"]
        table.add_row(*row)
    return table


def varied_keys(cells: Sequence[Cell]) -> list[str]:
    """The config keys that tell the cells apart, rank and length always among them."""
    flats = [cell.flat for cell in cells]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    varied = [key for key in keys if len({str(flat.get(key)) for flat in flats}) > 1]
    return list(dict.fromkeys(["seq_len", "lora.rank", *varied]))


class Watch:
    """Live progress over a sweep, read from the cells' status files.

    Each cell weighs steps × tokens of a row, which is what its time is roughly proportional to.
    """

    def __init__(self, cells: Sequence[Cell]):
        self.cells = list(cells)
        self.weights = [cell.config.seq_len * (cell.config.steps or 1) for cell in cells]
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
            eta="…" if eta is None else f"{eta / 60:.0f} min" if eta >= 90 else f"{eta:.0f} s",
            losses=("loss " + ", ".join(running)) if running else "",
        )
        for cell, status in zip(self.cells, statuses, strict=True):
            if status["state"] == FAILED and cell.name not in self.reported:
                self.reported.add(cell.name)
                _print_failure(self.progress.console, cell.name, status["cause"])

    @staticmethod
    def _share(status: dict) -> float:
        if status["state"] in (DONE, FAILED):
            return 1.0
        return status["step"] / status["total_steps"] if "step" in status else 0.0
