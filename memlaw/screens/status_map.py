"""Show the states of a study as maps of rank × length, a map per condition."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.table import Table

from memlaw.screens.tables import COLOURS
from memlaw.study.conditions import split
from memlaw.study.liveness import DEAD
from memlaw.study.status import DONE, FAILED, PENDING, RUNNING, UNREADABLE
from memlaw.study.survey import STATES, Observation

_PRESSING = (FAILED, UNREADABLE, DEAD, RUNNING)
"""States in the order in which an entry of the map prefers them where its seeds differ."""


def conditions(observations: Sequence[Observation]) -> Iterator[tuple[str, list[Observation]]]:
    """Yield conditions as (label, cells); see `memlaw.study.conditions.split`. Skip unreadable cells."""
    readable = [observation for observation in observations if observation.cell]
    rows = [observation.cell.flat for observation in readable if observation.cell]
    for label, indices in split(rows, list(dict.fromkeys(key for row in rows for key in row))):
        yield label, [readable[index] for index in indices]


def state_map(observations: Sequence[Observation]) -> Table:
    """Make a table with a row per rank and a column per length. An entry counts its seeds together."""
    seeds: dict[tuple[int, int], list[Observation]] = {}
    for observation in observations:
        assert observation.cell
        seeds.setdefault((observation.cell.config.lora.rank, observation.cell.config.seq_len), []).append(observation)
    lengths = sorted({length for _, length in seeds})
    table = Table(box=None, pad_edge=False)
    table.add_column("rank", justify="right")
    for length in lengths:
        table.add_column(f"ℓ{length}")
    for rank in sorted({rank for rank, _ in seeds}):
        table.add_row(str(rank), *(entry(seeds.get((rank, length), [])) for length in lengths))
    return table


def entry(observations: Sequence[Observation]) -> str:
    """Describe the cells of a rank and length, with colour: `done`, `45 %`, `2/3 done`, `1/3 failed`."""
    if not observations:
        return "[dim]·[/]"
    states = Counter(observation.state for observation in observations)
    shown = next((state for state in _PRESSING if states[state]), DONE if states[DONE] else PENDING)
    if len(observations) > 1:
        text = f"{states[shown]}/{len(observations)} {shown}"
    elif shown == RUNNING and observations[0].status.step is not None:
        text = f"{observations[0].status.trained_share:.0%}"
    else:
        text = shown
    return f"[{COLOURS[shown]}]{text}[/]"


def tally(observations: Sequence[Observation]) -> str:
    """Count cells by state, with colour: `5 of 9 cells done · 2 running · 1 failed`."""
    states = Counter(observation.state for observation in observations)
    others = [f"[{COLOURS[state]}]{states[state]} {state}[/]" for state in STATES[1:] if states[state]]
    return " · ".join([f"[green]{states[DONE]} of {len(observations)} cells done[/]", *others])
