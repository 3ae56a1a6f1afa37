"""Read the finished cells of studies on disk into one table, a row per cell.

Its columns are `memlaw.study.records.RESULT_COLUMNS` and the cell's config. The column `condition` names what
tells the cell apart from others beside rank, length and seed.
"""

from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import pandas as pd

from memlaw.core.errors import one_line
from memlaw.core.files import atomic_path
from memlaw.study.kept_cells import roots, study_cells
from memlaw.study.records import read_results, sort_results
from memlaw.study.result import NEEDED_COLUMNS
from memlaw.study.status import DONE, read_status
from memlaw_analysis.tables.conditions import with_condition


class NoCells(ValueError):
    """There is no cell to analyze; the message says where, and how to get some."""


def load_studies(studies: Sequence[Path]) -> pd.DataFrame:
    """Read studies: a row per finished cell, with its study's directory or table in the column `study`.

    A cell that is in two studies counts once.

    Args:
        studies: directories of studies, or parquet tables that `write_table` wrote of one.

    Raises:
        NoCells: a study has no finished cell, or its kept file or table is damaged.
    """
    tables = []
    for study in studies:
        try:
            table = read_table(study) if study.suffix == ".parquet" else _read_cells(study)
        except (ValueError, BadZipFile) as error:  # a damaged file of kept cells
            raise NoCells(one_line(error)) from error
        if table.empty:
            raise NoCells(f"{study} holds no finished cell; train some with `python -m memlaw.train -m …`")
        tables.append(sort_results(table).assign(study=str(study)))
    return with_condition(pd.concat(tables, ignore_index=True).drop_duplicates("cell", ignore_index=True))


def _read_cells(study: Path) -> pd.DataFrame:
    return pd.concat([read_results(root) for root in roots(study)], ignore_index=True)


def read_table(file: Path) -> pd.DataFrame:
    """Read the rows of finished cells from a parquet table.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no parquet table, or its rows lack a column that readers rely on.
    """
    table = pd.read_parquet(file)
    lacking = [name for name in NEEDED_COLUMNS if name not in table]
    if lacking:
        raise ValueError(f"{file} is no table of cells: it lacks {', '.join(lacking[:3])}")
    return table


def unfinished(study: Path) -> pd.DataFrame:
    """List the cells of a study that are not done: `cell`, `state`, and `cause` (empty unless the cell failed)."""
    rows = [
        {"cell": directory.name, "state": status.state, "cause": status.cause or ""}
        for directory in study_cells(study)
        if (status := read_status(directory / "status.json")).state != DONE
    ]
    return pd.DataFrame(rows, columns=["cell", "state", "cause"])


def write_table(table: pd.DataFrame, target: Path) -> None:
    """Write a table as CSV or parquet, as the ending of `target` says.

    Raises:
        ValueError: the ending is another one.
    """
    if target.suffix not in (".csv", ".parquet"):
        raise ValueError(f"{target} ends neither in .csv nor in .parquet")
    with atomic_path(target) as temporary:
        if target.suffix == ".csv":
            table.to_csv(temporary, index=False)
        else:
            table.to_parquet(temporary, index=False)
