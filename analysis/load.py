"""Studies on disk, or published points → one table, a row per cell (`memlaw.records.RESULT_COLUMNS` and its config)."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from memlaw.records import RESULT_COLUMNS, read_results, read_tokens

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


def last_tokens(study: Path, cells: Iterable[str]) -> pd.DataFrame:
    """The last evaluation of each cell, token by token: `memlaw.records.TOKEN_COLUMNS` with `p` and `cell`."""
    tables = []
    for cell in cells:
        table = read_tokens(study / cell / "tokens.parquet")
        tables.append(table[table["step"] == table["step"].max()].assign(cell=cell))
    return pd.concat(tables, ignore_index=True)


def load_points(file: Path, base_loss: float) -> pd.DataFrame:
    """A table of points without records, such as a figure's, in the columns that the law needs.

    Args:
        file: CSV with columns rank, seq_len, delta_loss_nats and perhaps seed; lines with # are comments.
        base_loss: L0 of all points, nats per token.

    Raises:
        NoCells: a column is missing, or there is no row.
    """
    points = pd.read_csv(file, comment="#")
    missing = [name for name in ("rank", "seq_len", "delta_loss_nats") if name not in points]
    if missing or points.empty:
        raise NoCells(f"{file} holds no points: " + (f"no column {', '.join(missing)}" if missing else "no row"))
    points = points.rename(columns={"rank": "lora.rank"})
    return points.assign(
        target_tokens=points["seq_len"],
        base_loss_nats=base_loss,
        loss_nats=base_loss - points["delta_loss_nats"],
        seed=points.get("seed", 0),
    )


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
