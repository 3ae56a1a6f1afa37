"""Reads the rows of a user's file, and the text in their fields."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

from pyarrow import parquet

from memlaw.config.values import check_characters
from memlaw.core.errors import ConfigError, one_line
from memlaw.data.text_file import named, read_file

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
"""Suffixes of files that hold rows; any other file is one text."""

FORMATS = "allowed are .jsonl (an object per line), .json (an array of objects), .csv (with a header) and .parquet"

_KINDS = {type(None): "null", list: "a list", dict: "an object", bool: "a truth value", float: "a fraction"}


@lru_cache(maxsize=4)
def read_rows(path: str, content: str | None) -> tuple[Mapping[str, Any], ...]:
    """Read the rows of a file. Whole numbers in JSON become the text of their digits.

    Args:
        path: of the file.
        content: its hash; cells with the same path and hash share one reading.

    Raises:
        ConfigError: the file cannot be read, is malformed or has no rows.
    """
    if Path(path).suffix.lower() == ".parquet":
        return _parquet_rows(path)
    text = read_file(path)
    try:
        if Path(path).suffix.lower() == ".csv":
            rows = _csv_rows(text)
        elif text.lstrip().startswith("["):
            rows = [_checked(row, f"item {number}") for number, row in enumerate(_parsed(text), start=1)]
        else:
            lines = ((number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip())
            rows = [_checked(_parsed(line, f"line {number}: "), f"line {number}") for number, line in lines]
    except ValueError as error:
        raise ConfigError(f"{named(path)}, {one_line(error)}; {FORMATS}") from error
    return _some(rows, path)


def _some(rows: Sequence[Mapping[str, Any]], path: str) -> tuple[Mapping[str, Any], ...]:
    if not rows:
        raise ConfigError(f"{named(path)} has no rows")
    return tuple(rows)


def _parquet_rows(path: str) -> tuple[Mapping[str, Any], ...]:
    try:
        rows = parquet.read_table(Path(path).expanduser()).to_pylist()
    except (OSError, RuntimeError, ValueError) as error:  # pyarrow's own errors are of these classes
        raise ConfigError(f"{named(path)} cannot be read: {one_line(error)}") from error
    return _some(rows, path)


def field_text(row: Mapping[str, Any], field: str, where: str) -> str:
    """Return the text of a row's field: a string as it is, a whole number as its digits.

    Args:
        row: the row.
        field: name of the field, which the row has.
        where: name of the row in errors.

    Raises:
        ConfigError: the field is empty, or has another type.
    """
    value = row[field]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        kind = _KINDS.get(type(value), type(value).__name__)
        raise ConfigError(f"{where}, field {field}: {kind} is not text; allowed are strings and whole numbers")
    if not value:
        raise ConfigError(f"{where}, field {field} is empty; allowed are strings and whole numbers")
    check_characters(f"{where}, field {field}", value)
    return value


def _parsed(text: str, prefix: str = "") -> Any:
    """Parse a JSON text. Raises ValueError with a message that begins with `prefix`."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{prefix}{error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError(f"the field {_repeated(key for key, _ in pairs)} occurs twice")
    return fields


def _checked(row: Any, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{where}: not a JSON object")
    return row


def _csv_rows(text: str) -> list[dict[str, Any]]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a field may be a whole text
    try:
        lines = [fields for fields in csv.reader(StringIO(text, newline="\n"), strict=True) if fields]
    except csv.Error as error:
        raise ValueError(f"not CSV: {error}") from error
    header = lines[0] if lines else []
    if len(set(header)) < len(header):
        raise ValueError(f"the field {_repeated(header)} occurs twice")
    for number, fields in enumerate(lines[1:], start=1):
        if len(fields) != len(header):
            raise ValueError(f"row {number}: it has {len(fields)} fields, the header {len(header)}")
    return [dict(zip(header, fields, strict=True)) for fields in lines[1:]]


def _repeated(names: Iterable[str]) -> str:
    return next(name for name, times in Counter(names).items() if times > 1)
