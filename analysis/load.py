"""Studies on disk, or published points → one table, a row per cell (`memlaw.records.RESULT_COLUMNS` and its config).

`python -m analysis.load runs/A runs/B --out cells.parquet` writes that table as CSV or parquet.
"""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from memlaw.canonical import NAMED_BY
from memlaw.errors import one_line, refuse
from memlaw.files import atomic_path
from memlaw.records import RESULT_COLUMNS, read_results, read_tokens
from memlaw.status_file import DONE, read_status

AXES = ("seq_len", "lora.rank", "seed")
"""What the law is about; every other config key that varies makes a condition of its own."""

PROTOCOL = ("steps", "epochs", "batch_size", "optimizer.lr")
"""What a method may bring along for a length, such as the paper's learning rates."""

_BASE = ("dtype", "model_fingerprint")
"""Measured, but cells that differ in them were trained on another base model."""

_ABOUT = ("study", "cell")


class NoCells(ValueError):
    """There is no finished cell; the message says where, and how to get some."""


class NoTokens(ValueError):
    """What the tokens of a condition say cannot be told; the message says why."""


def load_studies(studies: Sequence[Path]) -> pd.DataFrame:
    """A row per finished cell, with its study's directory in the column `study`; a cell in two studies counts once.

    Raises:
        NoCells: a study has none.
    """
    tables = []
    for study in studies:
        table = read_results(study)
        if table.empty:
            raise NoCells(f"{study} holds no finished cell; train some with `python -m memlaw.train -m …`")
        tables.append(table.assign(study=str(study)))
    return pd.concat(tables, ignore_index=True).drop_duplicates("cell", ignore_index=True)


def unfinished(study: Path) -> pd.DataFrame:
    """A row per cell of a study that is not done: `cell`, `state` and `cause` (of a failure, else empty)."""
    rows = [
        {"cell": path.parent.name, "state": status.state, "cause": status.cause or ""}
        for path in sorted(study.glob("*/status.json"))
        if (status := read_status(path)).state != DONE
    ]
    return pd.DataFrame(rows, columns=["cell", "state", "cause"])


def all_tokens(cells: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cell by cell, every evaluation token by token: `memlaw.records.TOKEN_COLUMNS` with `p` and `cell`.

    Args:
        cells: columns `study` and `cell`.

    Raises:
        NoTokens: a table is not there or not whole.
    """
    for study, cell in zip(cells["study"], cells["cell"], strict=True):
        file = Path(study) / cell / "tokens.parquet"
        try:
            table = read_tokens(file)
        except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors of reading are ValueErrors
            raise NoTokens(f"{file} cannot be read: {one_line(error)}") from error
        yield table.assign(cell=cell)


def without_tokens(cells: pd.DataFrame) -> list[str]:
    """The cells whose token table is not on disk."""
    places = zip(cells["study"], cells["cell"], strict=True)
    return [cell for study, cell in places if not (Path(study) / cell / "tokens.parquet").exists()]


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
        found = ", ".join(map(repr, points.columns))
        raise NoCells(
            f"{file} holds no points: no column {', '.join(missing)} among {found}; commas must separate the fields, "
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
    """Split a table by everything that varies beside the axes: (label, rows).

    The label names what varies, e.g. `model.name=qwen3_8b method.name=sft`; it is empty when nothing does.

    Args:
        table: cells with their config.
        ignoring: beginnings of names that may vary within a condition, such as `model.`.
        following: names that may vary as well where method and length decide them.
    """
    config = [
        name
        for name in table.columns
        if name not in AXES
        and name not in RESULT_COLUMNS
        and name not in _ABOUT
        and not name.startswith(("version.", *ignoring))
    ]
    base = [] if "model." in ignoring else list(_BASE)
    varied = [name for name in (*config, *base) if name in table and _text(table[name]).nunique() > 1]
    if "model.name" in varied:  # other models have other weights anyway
        same_model = table.groupby(["model.name", *(name for name in varied if name == "dtype")])
        if same_model["model_fingerprint"].nunique().max() == 1:
            varied = [name for name in varied if name != "model_fingerprint"]
    varied = [name for name in varied if not _follows(table, name)]
    varied = [name for name in varied if name not in following or not _decided(table, name)]
    if not varied:
        yield "", table
        return
    for values, cells in table.groupby([_text(table[name]) for name in varied], sort=True):
        yield " ".join(f"{name}={value}" for name, value in zip(varied, values, strict=True)), cells


def condition_title(cells: pd.DataFrame, label: str) -> str:
    """What a condition of `conditions` is called: its model, its data and its label."""
    return " ".join([str(cells["model.name"].iloc[0]), str(cells["data.name"].iloc[0]), label]).strip()


def _text(values: pd.Series) -> pd.Series:
    """Values to compare and group by; null is a value like any other."""
    return values.astype(object).where(values.notna(), "null").astype(str)


def _follows(table: pd.DataFrame, name: str) -> bool:
    """Whether a constant of the method, data or model, `method.threshold`, is given by its name already."""
    owner = NAMED_BY.get(name, f"{name.split('.')[0]}.name")
    if name == owner or owner not in table:
        return False
    return bool(_text(table[name]).groupby(table[owner]).nunique().max() == 1)


def _decided(table: pd.DataFrame, name: str) -> bool:
    """Whether method and length together give the value of `name`."""
    return bool(_text(table[name]).groupby([table["method.name"], table["seq_len"]]).nunique().max() == 1)


def write_table(table: pd.DataFrame, target: Path) -> None:
    """Write a table as CSV or parquet, by the ending of `target`. Raises ValueError for another one."""
    if target.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{target} ends neither in .csv nor in .parquet")
    with atomic_path(target) as temporary:
        if target.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="python -m analysis.load", description=__doc__)
    parser.add_argument("studies", type=Path, nargs="+", help="directories of studies, e.g. runs/default")
    parser.add_argument("--out", type=Path, required=True, help="the table: FILE.csv or FILE.parquet")
    given = parser.parse_args()
    try:
        table = load_studies(given.studies)
        write_table(table, given.out)
    except (ValueError, OSError) as error:  # NoCells, another ending, or nowhere to write
        refuse(error)
    print(f"{len(table)} cells: {given.out}")


if __name__ == "__main__":
    main()
