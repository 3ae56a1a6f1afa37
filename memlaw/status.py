"""Show the states of a study's cells: `memlaw status runs/STUDY`. Write nothing."""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from memlaw.backends.slurm.queue import Job, study_jobs, summary
from memlaw.core.output import reader_may_leave
from memlaw.core.wording import duration
from memlaw.screens.causes import cause, or_unknown
from memlaw.screens.eta import eta_seconds
from memlaw.screens.status_map import conditions, state_map, tally
from memlaw.screens.tables import COLOURS
from memlaw.study.liveness import DEAD
from memlaw.study.status import FAILED, PENDING, RUNNING, UNREADABLE
from memlaw.study.survey import NoStudy, Observation, cached_load, survey_study

EVERY_S = 2.0
"""Time between two surveys of `--watch`."""

SQUEUE_EVERY_S = 30.0
"""Time between two calls of squeue, because Slurm's controller serves the whole cluster."""


def view(study: Path, observations: Sequence[Observation], jobs: Sequence[Job]) -> RenderableType:
    """Lay out a study for the terminal: counts, ETA, maps, losses of running cells, causes of failures."""
    parts: list[RenderableType] = [Text(str(study), "bold"), _counts(observations)]
    for label, cells in conditions(observations):
        parts += ["", *([Text(label, "bold")] if label else []), state_map(cells)]
    running = [observation for observation in observations if observation.state == RUNNING]
    if running:
        parts += ["", _running(running)]
    parts += _wrong(study, observations)
    if jobs:
        parts += ["", f"Slurm: {escape(summary(jobs))}"]
    return Group(*parts)


def _counts(observations: Sequence[Observation]) -> str:
    eta = eta_seconds(observations)
    return tally(observations) + ("" if eta is None else f" · ETA {duration(eta)}")


def _running(observations: Sequence[Observation]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("running", overflow="fold")  # a name is what `memlaw logs` takes
    for heading in ("step", "loss", "p>0.5", "for"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("process", overflow="fold")
    for observation in observations:
        status = observation.status
        step = "starting" if status.step is None else f"{status.step}/{or_unknown(status.total_steps)}"
        loss = "" if status.loss_nats is None else f"{status.loss_nats:.3f}"
        recalled = "" if status.recalled_share is None else f"{status.recalled_share:.1%}"
        age = duration(max(0.0, time.time() - status.started_at)) if status.started_at else ""
        process = f"{or_unknown(status.host)}:{or_unknown(status.pid)}"
        table.add_row(escape(observation.name), step, loss, recalled, age, escape(process))
    return table


def _wrong(study: Path, observations: Sequence[Observation]) -> Iterator[RenderableType]:
    """Yield a line for each cell that failed, died or cannot be read, and a line of advice."""
    troubled = [observation for observation in observations if observation.state in (FAILED, DEAD, UNREADABLE)]
    if not troubled:
        return
    yield ""
    for observation in troubled:
        yield Text.assemble(
            (observation.state, COLOURS[observation.state]), f" {observation.name}: {cause(study, observation)}"
        )
    yield Text(f"{_advice(troubled)}memlaw logs {study} CELL says more.")


def _advice(troubled: Sequence[Observation]) -> str:
    """Tell which sweep trains the cells again. A sweep refuses to start beside a directory with a broken config."""
    readable = [observation for observation in troubled if observation.cell]
    states, broken = {observation.state for observation in readable}, len(troubled) - len(readable)
    policies = {"failed": FAILED in states, "stale": bool(states & {DEAD, UNREADABLE})}
    again = " or ".join(f"rerun={policy}" for policy, applies in policies.items() if applies)
    them = "the others" if broken else "them"
    away = f"Move away the directories of broken configs ({broken}); a sweep refuses them. " if broken else ""
    return away + (f"The sweep's command with {again} trains {them} again; " if again else "")


def as_json(study: Path, observations: Sequence[Observation], jobs: Sequence[Job]) -> dict[str, Any]:
    """Return the content of `view` for programs: `counts`, `eta_seconds`, `cells` and `jobs`."""
    keys = ("step", "total_steps", "loss_nats", "recalled_share", "host", "pid", "attempt", "started", "updated")
    cells = []
    for observation in observations:
        flat = observation.cell.flat if observation.cell else {}
        axes = {
            key: flat.get(key) for key in ("model.name", "data.name", "method.name", "lora.rank", "seq_len", "seed")
        }
        row = {
            "cell": observation.name,
            "state": observation.state,
            **axes,
            **{key: getattr(observation.status, key) for key in keys},
        }
        row["cause"] = cause(study, observation) if observation.state in (FAILED, DEAD, UNREADABLE) else None
        cells.append(row)
    return {
        "study": str(study),
        "counts": Counter(observation.state for observation in observations),
        "eta_seconds": eta_seconds(observations),
        "cells": cells,
        "jobs": [vars(job) for job in jobs],
    }


def watch(study: Path, console: Console) -> None:
    """Show the study until no cell runs or waits and no job is queued.

    Dead cells do not count as running. Where the output is not a terminal, print the view at the start and the end,
    and the counts whenever they change.
    """
    load, jobs, jobs_read = cached_load(), study_jobs(study), time.monotonic()
    with _screen(study, console) as show:
        while True:
            observations = survey_study(study, load)
            if time.monotonic() - jobs_read > SQUEUE_EVERY_S:
                jobs, jobs_read = study_jobs(study), time.monotonic()
            ended = not jobs and not any(observation.state in (RUNNING, PENDING) for observation in observations)
            show(observations, jobs, ended)
            if ended:
                return
            time.sleep(EVERY_S)


Show = Callable[[Sequence[Observation], Sequence[Job], bool], None]
"""Shows observations and jobs. The last argument tells whether it is called for the last time."""


@contextmanager
def _screen(study: Path, console: Console) -> Iterator[Show]:
    if not console.is_terminal:
        yield _lines(study, console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda observations, jobs, ended: live.update(view(study, observations, jobs), refresh=True)


def _lines(study: Path, console: Console) -> Show:
    shown: list[str] = []

    def show(observations: Sequence[Observation], jobs: Sequence[Job], ended: bool) -> None:
        counts = tally(observations)
        if ended or not shown:
            console.print(view(study, observations, jobs))
        elif counts != shown[-1]:
            console.print(_counts(observations))
        shown[:] = [counts]
        console.file.flush()  # for readers of a file or a pipe

    return show


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="memlaw status", description=__doc__)
    parser.add_argument("study", type=Path, help="directory of the study, runs/<study>")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--watch", action="store_true", help="look again every two seconds while cells run or wait")
    form.add_argument("--json", action="store_true", help="print one JSON object instead")
    options = parser.parse_args()
    console = Console(highlight=False)
    try:
        with reader_may_leave():
            if options.watch:
                watch(options.study, console)
                return
            observations, jobs = survey_study(options.study), study_jobs(options.study)
            if options.json:
                print(json.dumps(as_json(options.study, observations, jobs), indent=1))
            else:
                console.print(view(options.study, observations, jobs))
    except NoStudy as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
