"""Studies on disk, or published points → one table, a row per cell.

Its columns are `memlaw.study.records.RESULT_COLUMNS` and the cell's config. The column `condition` names what differs
from the other cells beside rank, length and seed.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from memlaw.core.errors import one_line
from memlaw.core.files import AnyPath, atomic_path
from memlaw.study.conditions import split, title
from memlaw.study.kept_cells import cell_directories, roots
from memlaw.study.records import RESULT_COLUMNS, read_results, read_tokens, sort_results
from memlaw.study.status import DONE, read_status

_NO_CONFIG = {"study", "cell", "condition", *RESULT_COLUMNS}
"""Columns that are no keys of a cell's config."""


class NoCells(ValueError):
    """There is no finished cell; the message says where, and how to get some."""


class NoTokens(ValueError):
    """The tokens of a condition cannot be read; the message says why."""


def load_studies(studies: Sequence[Path]) -> pd.DataFrame:
    """A row per finished cell, with its study's directory in the column `study`; a cell in two studies counts once.

    Raises:
        NoCells: a study has none.
    """
    tables = []
    for study in studies:
        table = pd.concat([read_results(root) for root in roots(study)], ignore_index=True)
        if table.empty:
            raise NoCells(f"{study} holds no finished cell; train some with `python -m memlaw.train -m …`")
        tables.append(sort_results(table).assign(study=str(study)))
    return with_condition(pd.concat(tables, ignore_index=True).drop_duplicates("cell", ignore_index=True))


def unfinished(study: Path) -> pd.DataFrame:
    """A row per cell of a study that is not done: `cell`, `state` and `cause` (of a failure, else empty)."""
    rows = [
        {"cell": directory.name, "state": status.state, "cause": status.cause or ""}
        for root in roots(study)
        for directory in cell_directories(root)
        if (status := read_status(directory / "status.json")).state != DONE
    ]
    return pd.DataFrame(rows, columns=["cell", "state", "cause"])


def all_tokens(cells: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cell by cell, every evaluation token by token: `memlaw.study.records.TOKEN_COLUMNS` with `p` and `cell`.

    Args:
        cells: columns `study` and `cell`.

    Raises:
        NoTokens: a table is not there or not whole.
    """
    for cell, file in _token_files(cells):
        try:
            table = read_tokens(file)
        except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors of reading are ValueErrors
            raise NoTokens(f"{file} cannot be read: {one_line(error)}") from error
        yield table.assign(cell=cell)


def without_tokens(cells: pd.DataFrame) -> list[str]:
    """The cells whose token table is not on disk."""
    return [cell for cell, file in _token_files(cells) if not file.is_file()]


def _token_files(cells: pd.DataFrame) -> Iterator[tuple[str, AnyPath]]:
    """Each cell with its token table, in the study's directory or its kept file; the table may be missing."""
    places = {study: roots(Path(study)) for study in cells["study"].unique()}
    for study, cell in zip(cells["study"], cells["cell"], strict=True):
        root = next((root for root in places[study] if (root / cell / "status.json").is_file()), places[study][0])
        yield cell, root / cell / "tokens.parquet"


def last_tokens(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The last evaluation of each cell of `all_tokens`."""
    return pd.concat([table[table["step"] == table["step"].max()] for table in tables], ignore_index=True)


def load_points(file: Path, base_loss: float) -> pd.DataFrame:
    """A table of points without records, such as a figure's, in the columns that the law needs.

    Args:
        file: CSV with columns rank, seq_len, delta_loss_nats, and perhaps seed and trainable_parameters; others are
            left out, and lines with # are comments.
        base_loss: L0 of all points, nats per token.

    Raises:
        NoCells: a column is missing, there is no row, or a value is not a number, or one that it cannot be.
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
    if not isinstance(points.index, pd.RangeIndex):  # pandas takes the fields in excess for an index
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


def conditions(
    table: pd.DataFrame, ignoring: Sequence[str] = (), following: Sequence[str] = ()
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Split a table into conditions: (label, rows), as `memlaw.study.conditions.split` does.

    Args:
        table: cells with their config.
        ignoring, following: see `memlaw.study.conditions.condition_keys`.
    """
    keys = [name for name in table.columns if name not in _NO_CONFIG and not name.startswith("version.")]
    for label, indices in split(table.to_dict("records"), keys, ignoring, following):
        yield label, table.iloc[indices]


def with_condition(table: pd.DataFrame) -> pd.DataFrame:
    """Add the column `condition`, the title of each cell's condition among the cells of the table."""
    parts = [cells.assign(condition=condition_title(cells, label)) for label, cells in conditions(table)]
    return pd.concat(parts).sort_index()


def condition_title(cells: pd.DataFrame, label: str) -> str:
    """Return what a condition of `conditions` is called."""
    return title(cells["model.name"].iloc[0], cells["data.name"].iloc[0], label)


def write_table(table: pd.DataFrame, target: Path) -> None:
    """Write a table as CSV or parquet, by the ending of `target`. Raises ValueError for another one."""
    if target.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{target} ends neither in .csv nor in .parquet")
    with atomic_path(target) as temporary:
        if target.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
