"""Read what a verification left on disk."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from memlaw.core.errors import ConfigError, one_line
from memlaw.core.json_file import read_object
from memlaw.study.verification import BASE, PAIR_COLUMNS, TOKEN_COLUMNS, VerificationPaths


@dataclass(frozen=True)
class VerificationRecord:
    """What a verification left on disk; `memlaw.study.verification` says what it means.

    Attributes:
        record: content of `verification.json`.
        pairs: with the columns of `PAIR_COLUMNS`.
        tokens: with the columns of `TOKEN_COLUMNS`.
    """

    record: dict[str, Any]
    pairs: pd.DataFrame
    tokens: pd.DataFrame

    @property
    def shown(self) -> list[str]:
        """Names of the adapters whose pairs a page shows: of the base model only where it is alone."""
        names = [adapter["name"] for adapter in self.record["adapters"]]
        return [name for name in names if name != BASE] or names

    @property
    def shown_pairs(self) -> pd.DataFrame:
        """The rows of `pairs` of these adapters."""
        return self.pairs[self.pairs["adapter"].isin(self.shown)]


def load_verification(directory: Path) -> VerificationRecord:
    """Read the files of a verification's directory.

    Raises:
        ConfigError: one is missing, damaged or lacks a column.
    """
    paths = VerificationPaths(directory)
    try:
        record = read_object(paths.record)
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{paths.record} cannot be read: {one_line(error)}") from error
    return VerificationRecord(record, _table(paths.pairs, PAIR_COLUMNS), _table(paths.tokens, TOKEN_COLUMNS))


def _table(file: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(file)
    except (OSError, ValueError) as error:  # pyarrow's own errors of reading are ValueErrors
        raise ConfigError(f"{file} cannot be read: {one_line(error)}") from error
    if missing := [name for name in columns if name not in table]:
        raise ConfigError(f"{file} lacks the columns {', '.join(missing)}")
    return table
