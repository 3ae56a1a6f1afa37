"""Read the token tables of cells: every evaluation, token by token."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from zipfile import BadZipFile

import pandas as pd

from memlaw.core.errors import one_line
from memlaw.core.files import AnyPath
from memlaw.study.kept_cells import roots
from memlaw.study.records import read_texts, read_tokens


class NoTokens(ValueError):
    """The tokens of a condition cannot be read; the message says why."""


def all_tokens(cells: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the token table of each cell: `memlaw.study.records.TOKEN_COLUMNS`, `p` and `cell`.

    Args:
        cells: columns `study` and `cell`.

    Raises:
        NoTokens: a table is missing or damaged.
    """
    for cell, file in _token_files(cells):
        try:
            table = read_tokens(file)
        except (OSError, ValueError, KeyError, BadZipFile) as error:  # pyarrow's own errors of reading are ValueErrors
            raise NoTokens(f"{file} cannot be read: {one_line(error)}") from error
        yield table.assign(cell=cell)


def without_tokens(cells: pd.DataFrame) -> list[str]:
    """List the cells whose token table is not on disk."""
    return [cell for cell, file in _token_files(cells) if not file.is_file()]


def token_texts(cells: pd.DataFrame) -> Iterator[tuple[str, dict[int, str]]]:
    """Yield each cell that has the texts of its tokens on disk, with its token ids and their texts.

    Args:
        cells: columns `study` and `cell`.

    Raises:
        NoTokens: a file is damaged.
    """
    for cell, directory in _directories(cells):
        file = directory / "texts.json"
        if file.is_file():
            try:
                yield cell, read_texts(file)
            except (OSError, ValueError, RecursionError, BadZipFile) as error:
                raise NoTokens(f"{file} cannot be read: {one_line(error)}") from error


def _token_files(cells: pd.DataFrame) -> Iterator[tuple[str, AnyPath]]:
    """Yield each cell with the path of its token table. It may not exist."""
    for cell, directory in _directories(cells):
        yield cell, directory / "tokens.parquet"


def _directories(cells: pd.DataFrame) -> Iterator[tuple[str, AnyPath]]:
    """Yield each cell with its directory, in the study's directory or its kept file. It may not exist."""
    places = {study: roots(Path(study)) for study in cells["study"].unique()}
    for study, cell in zip(cells["study"], cells["cell"], strict=True):
        root = next((root for root in places[study] if (root / cell / "status.json").is_file()), places[study][0])
        yield cell, root / cell


def last_tokens(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return the last evaluation of each cell of `all_tokens`."""
    return pd.concat([table[table["step"] == table["step"].max()] for table in tables], ignore_index=True)
