"""Write a finished cell's run anew from its records, where W&B's log of it has no end or is missing.

The records lack learning rates and tokens per second, so the run has no curves of them. Its tables show token ids in
place of texts, because the base model's tokenizer may be on another machine.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from memlaw.study.cell import Cell
from memlaw.study.records import TOKEN_COLUMNS, Evaluated, TokenLog
from memlaw.tracking.contents import evaluation_values, log_end
from memlaw.tracking.wandb_service import WandbRun, WandbService


def write_run(cell: Cell, service: WandbService) -> Path:
    """Write the run of a finished cell, offline.

    Args:
        cell: the cell.
        service: names the run's project and entity.

    Returns:
        The run's directory.

    Raises:
        OSError, ValueError: a record is missing or cannot be read.
        Exception: W&B cannot write the run; its errors have no common class.
    """
    result = json.loads(cell.paths.result.read_text(encoding="utf-8"))
    tokens = pd.read_parquet(cell.paths.tokens)
    if missing := [name for name in TOKEN_COLUMNS if name not in tokens]:
        raise ValueError(f"{cell.paths.tokens} lacks {', '.join(missing)}")
    curves = list(recorded_curves(tokens))
    wandb_run = service.init(cell, "offline")
    run = WandbRun(wandb_run, cell)
    for evaluated, scalars in curves:
        run.log(evaluated.step, evaluation_values(scalars, evaluated.nll_S))
    log_end(run, cell, result, tokens, str)
    return Path(wandb_run.dir).parent


def recorded_curves(tokens: pd.DataFrame) -> Iterator[tuple[Evaluated, dict[str, Any]]]:
    """Yield each evaluation in a table with the columns of `TOKEN_COLUMNS`, and its scalars."""
    log: TokenLog | None = None
    for step, rows in tokens.groupby("step", sort=True):
        columns = {name: rows[name].to_numpy() for name in TOKEN_COLUMNS}
        log = log or TokenLog(columns["pair"], columns["position"], columns["token_id"])
        evaluated = Evaluated(int(step), columns["nll"], columns["argmax_id"], columns["argmax_nll"], columns["weight"])
        log.add(evaluated)
        yield evaluated, log.scalars()
