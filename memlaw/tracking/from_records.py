"""A finished cell's run, written anew from its records where W&B's log of it breaks off or is missing.

Learning rates and tokens per second are not in the records, so the run has no curves of them. Token ids stand for
texts: the base model's tokenizer may be nowhere near.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from memlaw.study.cell import Cell
from memlaw.study.records import TOKEN_COLUMNS, Evaluated, TokenLog
from memlaw.tracking.tracker import evaluation_values, tell_end
from memlaw.tracking.wandb_service import WandbRun, WandbService


def write_run(cell: Cell, service: WandbService) -> Path:
    """Write the run of a finished cell, offline.

    Args:
        cell: the cell.
        service: whose project and entity the run is for.

    Returns:
        The run's directory.

    Raises:
        OSError, ValueError: a record is missing or no record.
        Exception: W&B cannot write the run; it has no one class for that.
    """
    result = json.loads(cell.paths.result.read_text(encoding="utf-8"))
    tokens = pd.read_parquet(cell.paths.tokens)
    if missing := [name for name in TOKEN_COLUMNS if name not in tokens]:
        raise ValueError(f"{cell.paths.tokens} lacks {', '.join(missing)}")
    curves = list(recorded_curves(tokens))
    run = service.init(cell, "offline")
    told = WandbRun(run, cell)
    for evaluated, scalars in curves:
        told.log(evaluated.step, evaluation_values(scalars, evaluated.nll_S))
    tell_end(told, cell, result, tokens, str)
    return Path(run.dir).parent


def recorded_curves(tokens: pd.DataFrame) -> Iterator[tuple[Evaluated, dict[str, Any]]]:
    """Each evaluation of a table with the columns of `TOKEN_COLUMNS`, and the scalars that it gives."""
    log: TokenLog | None = None
    for step, rows in tokens.groupby("step", sort=True):
        columns = {name: rows[name].to_numpy() for name in TOKEN_COLUMNS}
        log = log or TokenLog(columns["pair"], columns["position"], columns["token_id"])
        evaluated = Evaluated(int(step), columns["nll"], columns["argmax_id"], columns["argmax_nll"], columns["weight"])
        log.add(evaluated)
        yield evaluated, log.scalars()
