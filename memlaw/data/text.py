"""Where the text of a long target comes from. Each source yields pieces of text and may know a query."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from memlaw.cell import file_hash
from memlaw.data import prose
from memlaw.errors import ConfigError
from memlaw.values import check_whole


@dataclass(frozen=True)
class Text:
    """Text in pieces that are tokenized one by one, and the query that came with it, if any."""

    pieces: Iterator[str]
    query: str | None = None


class TextSource(Protocol):
    """A source of text for `memlaw.data.long_context.LongContext`."""

    def read(self, seed: int) -> Text:
        """The text; only invented text depends on the seed."""
        ...


@dataclass(frozen=True)
class FictionalProse:
    """The invented encyclopedia of `memlaw.data.prose`; endless."""

    def read(self, seed: int) -> Text:
        """An endless text, a sentence a piece."""
        sentences = prose.sentences(seed)
        return Text(chain([next(sentences)], (f" {sentence}" for sentence in sentences)))


@dataclass(frozen=True)
class TextFile:
    """A text file, whole, or one row of a jsonl file.

    Attributes:
        path: a `.txt` file, or a `.jsonl` file whose rows hold `question` and `matching`, or `text`.
        content: the file's hash (`memlaw.cell.file_hash`) when the cell was made; None is not checked.
        row: which row of the jsonl file, from 0.
    """

    path: str
    content: str | None
    row: int

    def __post_init__(self) -> None:
        check_whole("data.row", self.row, at_least=0)

    def read(self, seed: int) -> Text:
        """Read the file. Raises ConfigError when it is missing, malformed or has no such row."""
        content = read_file(self.path, self.content)
        if Path(self.path).suffix != ".jsonl":
            return Text(iter([content]))
        return _from_row(_row(parse_jsonl(self.path, content), self.row, self.path), self.path)


@dataclass(frozen=True)
class HubText:
    """One row of a `datasets` data set: a Hub id or a local directory.

    Attributes:
        path: what `datasets.load_dataset` takes.
        subset: configuration name, or null.
        split: e.g. `train`.
        row: which row, from 0.
    """

    path: str
    subset: str | None
    split: str
    row: int

    def __post_init__(self) -> None:
        check_whole("data.row", self.row, at_least=0)

    def read(self, seed: int) -> Text:
        """Load the row. Raises ConfigError when the data set cannot be had or has no such row."""
        import datasets

        try:
            table = datasets.load_dataset(self.path, name=self.subset, split=self.split)
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            first_line = str(error).splitlines()[0]
            raise ConfigError(f"data.path={self.path} could not be loaded: {first_line}") from error
        return _from_row(_row(table, self.row, self.path), self.path)


def read_file(path: str, content: str | None) -> str:
    """A file's text. Raises ConfigError naming `data.path` when it cannot be read or its hash is not `content`."""
    if content is not None and file_hash(path) != content:
        raise ConfigError(f"data.path={path} is gone or was edited since the cell was planned; start the sweep again")
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"data.path={path} cannot be read: {error}") from error


def parse_jsonl(path: str, content: str) -> list[dict[str, Any]]:
    """The rows of a jsonl text. Raises ConfigError naming the line that is no JSON object."""
    rows = []
    for number, line in enumerate(content.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ConfigError(f"data.path={path}, line {number}: {error}") from error
        if not isinstance(row, dict):
            raise ConfigError(f"data.path={path}, line {number}: not a JSON object")
        rows.append(row)
    return rows


def _row(table: Any, row: int, path: str) -> dict[str, Any]:
    if not 0 <= row < len(table):
        raise ConfigError(f"data.row={row} is not a row of {path}; allowed: 0 to {len(table) - 1}")
    return table[row]


def _from_row(row: dict[str, Any], path: str) -> Text:
    if "matching" in row and "question" in row:
        return Text(iter([str(row["matching"])]), str(row["question"]))
    if "text" in row:
        return Text(iter([str(row["text"])]))
    raise ConfigError(f"data.path={path}: a row needs the fields question and matching, or text; it has {sorted(row)}")
