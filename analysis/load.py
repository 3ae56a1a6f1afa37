"""Studies on disk → one table, a row per cell (`memlaw.records.RESULT_COLUMNS` and the cell's config)."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from memlaw.records import RESULT_COLUMNS, read_results

AXES = ("seq_len", "lora.rank", "seed")
"""What the law is about; every other config key that varies makes a condition of its own."""

_BASE = ("dtype", "model_fingerprint")
"""Measured, but cells that differ in them were trained on another base model."""


class NoCells(ValueError):
    """The directory holds no finished cell."""


def load_study(study: Path) -> pd.DataFrame:
    """A row per finished cell of a study.

    Raises:
        NoCells: there is none.
    """
    table = read_results(study)
    if table.empty:
        raise NoCells(f"{study} holds no finished cell; train some with `python -m memlaw.train -m …`")
    return table


def conditions(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Split a table by everything that varies beside the axes: (label, rows).

    The label names what varies, e.g. `model.name=qwen3_8b method.name=sft`; it is empty when nothing does.
    """
    config = [
        name
        for name in table.columns
        if name not in AXES and name not in RESULT_COLUMNS and not name.startswith("version.")
    ]
    varied = [name for name in (*config, *_BASE) if name in table and table[name].astype(str).nunique() > 1]
    if "model.name" in varied:  # other models have other weights anyway
        same_model = table.groupby(["model.name", *(name for name in varied if name == "dtype")])
        if same_model["model_fingerprint"].nunique().max() == 1:
            varied = [name for name in varied if name != "model_fingerprint"]
    if not varied:
        yield "", table
        return
    for values, cells in table.groupby([table[name].astype(str) for name in varied], sort=True):
        yield " ".join(f"{name}={value}" for name, value in zip(varied, values, strict=True)), cells
