"""Read W&B runs into the same table as a study on disk: a row per finished cell."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import pandas as pd

from memlaw.core.errors import one_line
from memlaw.study.identity import flatten, with_later_keys
from memlaw.study.records import RESULT_COLUMNS, sort_results
from memlaw_analysis.tables.conditions import with_condition
from memlaw_analysis.tables.studies import NoCells

_NOT_FINITE = ("NaN", "Infinity", "-Infinity")
"""How W&B spells numbers that JSON lacks."""


class Run(Protocol):
    """The attributes of a run of `wandb.Api().runs()` that are read."""

    state: str
    config: Mapping[str, Any]
    summary: Mapping[str, Any]


def load_wandb(project: str, api: Any = None) -> pd.DataFrame:
    """Read the finished cells among the runs of a W&B project: a row each.

    Args:
        project: `entity/project`.
        api: a `wandb.Api`; by default one with the user's credentials.

    Raises:
        NoCells: the project cannot be read, or has no finished cell.
    """
    import wandb

    try:
        runs = list((api or wandb.Api()).runs(project))
    except (wandb.errors.Error, ValueError) as error:
        raise NoCells(f"W&B project {project}: {one_line(error)}") from error
    table = table_of(runs)
    if table.empty:
        raise NoCells(f"W&B project {project} holds no finished cell of memlaw")
    return with_condition(table)


def table_of(runs: Iterable[Run]) -> pd.DataFrame:
    """Make the table of runs. Other runs than finished cells are left out; of two runs of a cell the first stays."""
    rows = [_row(run) for run in runs if run.state == "finished" and "delta_loss_nats" in run.summary]
    table = pd.DataFrame(rows)
    return sort_results(table.drop_duplicates("cell")) if rows else table


def _row(run: Run) -> dict[str, Any]:
    config = with_later_keys(dict(flatten(run.config["config"])))
    measured = {
        name: float(value) if value in _NOT_FINITE else value
        for name, value in run.summary.items()
        if name in RESULT_COLUMNS
    }
    return {"cell": run.config["cell"], **config, **measured, **dict(flatten(run.summary["version"], "version"))}
