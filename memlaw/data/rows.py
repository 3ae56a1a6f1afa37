"""The rows of a user's file, and the text in their fields."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

from memlaw.config.values import check_characters
from memlaw.core.errors import ConfigError, one_line
from memlaw.data.text_file import named, read_file

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv")
"""Of files that are rows; any other file is one text."""

FORMATS = (
    "read are .jsonl (an object a line), .json (an array of objects) and .csv (with a header), conversations are not"
)

_KINDS = {type(None): "null", list: "a list", dict: "an object", bool: "a truth value", float: "a fraction"}


@lru_cache(maxsize=4)
def read_rows(path: str, content: str | None) -> tuple[Mapping[str, Any], ...]:
    """The rows of a file. Whole numbers in JSON are the text of their digits.

    Args:
        path: of the file.
        content: its hash, so that cells that share the file read it once.

    Raises:
        ConfigError: the file cannot be read, is malformed or has no rows.
    """
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
    if not rows:
        raise ConfigError(f"{named(path)} has no rows")
    return tuple(rows)


def field_text(row: Mapping[str, Any], field: str, where: str) -> str:
    """The text of a row's field: a string as it is, a whole number as its digits.

    Args:
        row: has the field.
        field: its name.
        where: the row, for errors.

    Raises:
        ConfigError: the field is empty, or holds anything else.
    """
    value = row[field]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        kind = _KINDS.get(type(value), type(value).__name__)
        raise ConfigError(f"{where}, field {field}: {kind} is no text; allowed are strings and whole numbers")
    if not value:
        raise ConfigError(f"{where}, field {field} is empty; allowed are strings and whole numbers")
    check_characters(f"{where}, field {field}", value)
    return value


def _parsed(text: str, place: str = "") -> Any:
    """The value of a JSON text. Raises ValueError, its message beginning with `place`."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{place}{error}") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"the field {_repeated(key for key, _ in pairs)} is there twice")
    return found


def _checked(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise ValueError(f"{place}: not a JSON object")
    return row


def _csv_rows(text: str) -> list[dict[str, Any]]:
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a field may be a whole text
    try:
        records = [record for record in csv.reader(StringIO(text, newline="\n"), strict=True) if record]
    except csv.Error as error:
        raise ValueError(f"no CSV: {error}") from error
    header = records[0] if records else []
    if len(set(header)) < len(header):
        raise ValueError(f"the field {_repeated(header)} is there twice")
    for number, record in enumerate(records[1:], start=1):
        if len(record) != len(header):
            raise ValueError(f"row {number}: it has {len(record)} fields, the header {len(header)}")
    return [dict(zip(header, record, strict=True)) for record in records[1:]]


def _repeated(names: Iterable[str]) -> str:
    return next(name for name, times in Counter(names).items() if times > 1)
