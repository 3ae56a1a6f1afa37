"""Print the table of a study's cells, and the table of a plan."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from memlaw.core.wording import count, duration
from memlaw.planning.planned import Plan
from memlaw.study.cell import Cell
from memlaw.study.conditions import differing_keys
from memlaw.study.liveness import DEAD
from memlaw.study.status import DONE, FAILED, PENDING, RUNNING, UNREADABLE, Status
from memlaw.study.survey import Observation

COLOURS = {DONE: "green", RUNNING: "yellow", PENDING: "white", FAILED: "red", DEAD: "magenta", UNREADABLE: "red"}
"""State of a cell → its colour."""


def print_study(observations: Sequence[Observation]) -> None:
    """Print the table of cells and the directory of their study."""
    console = Console()
    console.print()
    console.print(study_table(observations))
    for observation in observations:
        if observation.state == FAILED:
            print_failure(console, observation.name, observation.status)
    for study in dict.fromkeys(cell.study for cell in _cells(observations)):
        console.print(f"Study: {study}", soft_wrap=True, highlight=False)


def print_failure(console: Console, name: str, status: Status) -> None:
    """Print a failed cell's one-line cause."""
    console.print(f"[red]failed[/] {name}: {escape(str(status.cause))}", soft_wrap=True, highlight=False)


def study_table(observations: Sequence[Observation]) -> Table:
    """Make a table with a row per cell: its keys and state, and for done cells losses (nats per token) and cost."""
    varied = varied_keys(_cells(observations))
    table = _table(observations, varied, "L0", "L", "ΔL", "p>0.5", "bits/par", "steps", "s")
    for observation in observations:
        row = _row(observation, varied)
        if observation.state == DONE:
            r = observation.result
            row += [f"{r[key]:.3f}" for key in ("base_loss_nats", "loss_nats", "delta_loss_nats")]
            row += [f"{r['recalled_share']:.1%}", f"{r['bits_per_parameter']:.2f}"]
            row += [f"{r['steps_trained']}", f"{r['seconds']:.0f}"]
        table.add_row(*row)
    return table


def print_plan(observations: Sequence[Observation], plan: Plan, workers: int) -> None:
    """Print the states of the cells, the pack, RAM and time of each planned cell, and the total time."""
    console = Console()
    varied = varied_keys(_cells(observations))
    table = _table(observations, varied, "pack", "parameters", "GB", "time")
    planned = {
        member.cell.name: (
            str(number),
            f"{member.sizes.adapter_parameters:,}",
            f"{pack.bytes / 1e9:.1f}",
            duration(seconds),
        )
        for number, pack in enumerate(plan.packs, start=1)
        for member, seconds in zip(pack.members, pack.cell_seconds(plan.cost), strict=True)
    }
    for observation in observations:
        table.add_row(*_row(observation, varied), *planned.get(observation.name, ()))
    console.print(table)
    busy = min(workers, len(plan.packs))
    total = duration(sum(sum(pack.cell_seconds(plan.cost)) for pack in plan.packs) / busy)
    console.print(
        f"{len(planned)} of {len(observations)} cells to train in {count(len(plan.packs), 'pack')} "
        f"on {count(busy, 'worker')}: {_basis(plan, total)}",
        soft_wrap=True,
        highlight=False,
    )
    console.print(
        "GB: peak RAM of the pack, base model included. Time: the cell's share without early stops.", soft_wrap=True
    )


def _basis(plan: Plan, total: str) -> str:
    if plan.cost.measured_cells:
        return f"{total}, as {count(plan.cost.measured_cells, 'finished cell')} of this study took."
    return f"at least {total}, estimated from operations alone, because no cell has finished yet."


def varied_keys(cells: Sequence[Cell]) -> list[str]:
    """Return the config keys that tell the cells apart. Rank and length are always among them."""
    flats = [cell.flat for cell in cells]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    return list(dict.fromkeys(["seq_len", "lora.rank", *differing_keys(flats, keys)]))


def _table(observations: Sequence[Observation], varied: Sequence[str], *numbers: str) -> Table:
    headings = [key.removesuffix(".name").rpartition(".")[2] for key in varied]
    if len(set(headings)) < len(headings):
        headings = list(varied)
    table = Table(*headings, "state", title=count(len(observations), "cell"), title_justify="left", box=None)
    for heading in numbers:
        table.add_column(heading, justify="right")
    return table


def _row(observation: Observation, varied: Sequence[str]) -> list[str]:
    flat = observation.cell.flat if observation.cell else {}
    colour = COLOURS[observation.state]
    return [*(escape(str(flat.get(key, "–"))) for key in varied), f"[{colour}]{observation.state}[/]"]


def _cells(observations: Sequence[Observation]) -> list[Cell]:
    return [observation.cell for observation in observations if observation.cell]
