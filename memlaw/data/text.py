"""Sources of the text of a long target. A source yields pieces of text, and may bring a query."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from memlaw.config.values import check_whole
from memlaw.core.errors import ConfigError, spelled
from memlaw.data import prose
from memlaw.data.data_set import data_set
from memlaw.data.rows import FORMATS, SUFFIXES, field_text, read_rows
from memlaw.data.text_file import check_path, checked_hash, named, read_file


@dataclass(frozen=True)
class Text:
    """Text in pieces that are tokenized separately, and the query that came with it, if any."""

    pieces: Iterator[str]
    query: str | None = None


class TextSource(Protocol):
    """A source of text for `memlaw.data.long_context.LongContext`."""

    def read(self, seed: int) -> Text:
        """Read the text; only invented text depends on the seed."""
        ...


@dataclass(frozen=True)
class FictionalProse:
    """The endless invented encyclopedia of `memlaw.data.prose`."""

    def read(self, seed: int) -> Text:
        """Return an endless text, with a sentence in each piece."""
        sentences = prose.sentences(seed)
        return Text(chain([next(sentences)], (f" {sentence}" for sentence in sentences)))


@dataclass(frozen=True)
class TextFile:
    """A text file, whole, or one row of a file of rows.

    Attributes:
        path: of a text, or of a file of rows (`memlaw.data.rows.SUFFIXES`) with `question` and `matching`, or `text`.
        content: the hash that the file must have (`memlaw.core.files.file_hash`); None allows any.
        row: number of the row, from 0.
    """

    path: str
    content: str | None
    row: int

    def __post_init__(self) -> None:
        check_path(self.path)
        check_whole("data.row", self.row, at_least=0)

    def read(self, seed: int) -> Text:
        """Read the file. Raises ConfigError when it is missing, malformed, empty or has no such row."""
        content = checked_hash(self.path, self.content)
        if Path(self.path).suffix.lower() in SUFFIXES:
            formats = f"{FORMATS}; conversations are not allowed"
            return _from_row(read_rows(self.path, content), self.row, named(self.path), formats)
        text = read_file(self.path)
        if not text:
            raise ConfigError(f"{named(self.path)} is an empty file")
        return Text(iter([text]))


@dataclass(frozen=True)
class HubText:
    """One row of a `datasets` data set: a Hub id or a local directory.

    Attributes:
        path: as `datasets.load_dataset` takes it.
        subset: configuration name, or null.
        split: e.g. `train`.
        row: number of the row, from 0.
    """

    path: str
    subset: str | None
    split: str
    row: int

    def __post_init__(self) -> None:
        check_path(self.path)
        for key, value in (("data.subset", self.subset or ""), ("data.split", self.split)):
            if not isinstance(value, str):
                raise ConfigError(f"{key}={spelled(value)} is not a name")
        check_whole("data.row", self.row, at_least=0)

    def read(self, seed: int) -> Text:
        """Load the row. Raises ConfigError when the data set cannot be loaded or has no such row."""
        table = data_set(self.path, self.subset, self.split)
        return _from_row(table, self.row, named(self.path), "conversations are not allowed")


def _from_row(table: Any, row: int, name: str, formats: str) -> Text:
    """Take the text from a row of a table; errors show the table's `name` and the allowed `formats`."""
    if row >= len(table):
        raise ConfigError(f"data.row={row} is not a row of {name}; allowed: 0 to {len(table) - 1}")
    fields, where = table[row], f"{name}, data.row={row}"
    if "matching" in fields and "question" in fields:
        return Text(iter([field_text(fields, "matching", where)]), field_text(fields, "question", where))
    if "text" in fields:
        return Text(iter([field_text(fields, "text", where)]))
    raise ConfigError(f"{where}: needs the fields question and matching, or text; it has {sorted(fields)}; {formats}")
