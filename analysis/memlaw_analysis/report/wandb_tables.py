"""The tables of a study's analysis run at W&B, made from a written report. No W&B is needed to make them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from memlaw.tracking.contents import study_digest

CELL_COLUMNS = {
    "cell": "cell",
    "condition": "condition",
    "study": "study",
    "model.name": "model",
    "data.name": "data",
    "method.name": "method",
    "lora.rank": "rank",
    "seq_len": "seq_len",
    "seed": "seed",
    "base_loss_nats": "base_loss_nats",
    "loss_nats": "loss_nats",
    "delta_loss_nats": "delta_loss_nats",
    "law_nats": "law_nats",
    "saturated": "saturated",
    "recalled_share": "recalled_share",
    "recall_exact_share": "recall_exact_share",
    "min_p": "min_p",
    "bits_per_parameter": "bits_per_parameter",
    "bits_per_effective_parameter": "bits_per_effective_parameter",
    "steps_trained": "steps_trained",
}
"""The table `cells`: a column of the report's tables → its name at W&B. `run`, each cell's run, comes last."""

_LAW_COLUMNS = ["cell", "condition", "law_nats", "saturated"]
"""What the fits say of each cell."""


def law_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten a condition's `law.json` into one row.

    Intervals are 95 % profile likelihood; an open side is None.
    """
    row = {
        name: record.get(name)
        for name in ("condition", "cells", "fitted", "identified", "r_squared", "mape", "cells_used")
    }
    for name, parameter in (record.get("parameters") or {}).items():
        low, high = parameter["profile_95"] or (None, None)
        row |= {name: parameter["value"], f"{name}_stderr": parameter["stderr"]}
        row |= {f"{name}_low": low, f"{name}_high": high}
    return row


def headline(laws: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the law that stands for the study: an identified one before others, then the one on most cells.

    Returns:
        The row of `law_row`; empty where no law was fitted.
    """
    fitted = [row for row in laws if row["fitted"]]
    return max(fitted, key=lambda row: (bool(row["identified"]), row["cells_used"]), default={})


def cells_table(cells: pd.DataFrame, points: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Join all cells with the law of their condition. Columns: those of `CELL_COLUMNS` that are known, and `run`.

    `condition`, `law_nats` and `saturated` are always there; the latter two are null where no law was fitted.

    Args:
        cells: the report's `cells.csv`.
        points: title of each condition with a law → its `points.csv`.
    """
    fitted = [rows.assign(condition=title) for title, rows in points.items()]
    laws = pd.concat([pd.DataFrame(columns=_LAW_COLUMNS), *fitted])[_LAW_COLUMNS]
    cells = cells.merge(laws, on=["cell", "condition"], how="left")
    runs = [_run_id(*row) for row in zip(cells["study"], cells["cell"], strict=True)]
    cells = cells.assign(study=[Path(study).name for study in cells["study"]])
    return cells[[name for name in CELL_COLUMNS if name in cells]].rename(columns=CELL_COLUMNS).assign(run=runs)


def _run_id(study: str, cell: str) -> str:
    return f"{study_digest(Path(study))}-{cell.rpartition('-')[2]}"
