"""Split a table of cells into conditions."""

from collections.abc import Iterator, Sequence

import pandas as pd

from memlaw.study.conditions import split, title
from memlaw.study.records import RESULT_COLUMNS

_NO_CONFIG = {"study", "cell", "condition", *RESULT_COLUMNS}
"""Columns that are not keys of a cell's config."""


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
    """Return the heading of a condition.

    Args:
        cells, label: as `conditions` yields them.
    """
    return title(cells["model.name"].iloc[0], cells["data.name"].iloc[0], label)
