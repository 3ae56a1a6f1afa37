"""Read published points, such as those of a figure, into one table, a row per point."""

from pathlib import Path

import numpy as np
import pandas as pd

from memlaw.core.errors import one_line
from memlaw_analysis.tables.studies import NoCells


def load_points(file: Path, base_loss: float) -> pd.DataFrame:
    """Read points into the columns that the law needs.

    Args:
        file: CSV with columns rank, seq_len, delta_loss_nats, and perhaps seed and trainable_parameters. Other
            columns are left out. # begins a comment.
        base_loss: L0 of all points, nats per token.

    Raises:
        NoCells: the file cannot be read, a column is missing, there is no row, or a value is not a possible number.
    """
    needed = ["rank", "seq_len", "delta_loss_nats"]
    if not 0 < base_loss < float("inf"):
        raise NoCells(f"--base-loss {base_loss} is not a positive number of nats")
    try:
        points = pd.read_csv(file, comment="#", encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, ValueError) as error:  # pandas' own errors of reading are ValueErrors
        raise NoCells(f"{file} cannot be read as CSV: {one_line(error)}") from error
    missing = [name for name in needed if name not in points]
    if missing:
        columns = ", ".join(map(repr, points.columns))
        raise NoCells(
            f"{file} holds no points: no column {', '.join(missing)} among {columns}; commas must separate the fields, "
            "and decimals have points"
        )
    if points.empty:
        raise NoCells(f"{file} holds no points: no row")
    if not isinstance(points.index, pd.RangeIndex):  # pandas takes surplus fields for an index
        raise NoCells(f"{file}: its rows have more fields than its first line has names")
    points = points[[*needed, *(name for name in ("seed", "trainable_parameters") if name in points)]]
    numbers = points.apply(pd.to_numeric, errors="coerce").astype(float)
    positive = numbers.drop(columns="seed", errors="ignore") > 0
    sound = positive.all(axis=1) & np.isfinite(numbers).all(axis=1) & (numbers["delta_loss_nats"] < 1.05 * base_loss)
    if not sound.all():
        row = int((~sound).idxmax())
        raise NoCells(
            f"{file}, row {row + 1} of the points: {points.loc[row].to_dict()}; all must be positive numbers, and "
            f"delta_loss_nats below the base loss {base_loss:g}"
        )
    return numbers.rename(columns={"rank": "lora.rank"}).assign(
        target_tokens=numbers["seq_len"],
        base_loss_nats=base_loss,
        loss_nats=base_loss - numbers["delta_loss_nats"],
        seed=numbers.get("seed", 0),
    )
