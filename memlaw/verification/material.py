"""The pairs that an adapter is asked for: read from a user's data, and put into tokens as the user would ask."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from memlaw.core.errors import ConfigError
from memlaw.core.files import file_hash
from memlaw.data.data_set import data_set
from memlaw.data.fields import MAX_CHARACTERS, text_pairs
from memlaw.data.memory import Pair
from memlaw.data.prompt import Prompt, text_ids
from memlaw.data.rows import SUFFIXES, read_rows
from memlaw.data.text_file import check_path, named, read_file
from memlaw.data.turns import TextPair, Turn


@dataclass(frozen=True)
class Where:
    """Where the data is.

    Attributes:
        path: a file of rows, a text file, a directory of the library `datasets`, or a data set of the Hub.
        query_field, target_field: fields that hold query and target; None: guessed by their names.
        query: the query of a text file, which has none.
        subset, split: of a data set.
    """

    path: str
    query_field: str | None = None
    target_field: str | None = None
    query: str | None = None
    subset: str | None = None
    split: str = "train"


@dataclass(frozen=True)
class Material:
    """Pairs of text.

    Attributes:
        pairs: in the order of the data; the row of each is its index + 1.
        query_from, target_from: what became query and target, in words.
    """

    pairs: tuple[TextPair, ...]
    query_from: str
    target_from: str

    @property
    def contradictions(self) -> int:
        """Number of pairs whose query an earlier pair has with another target: at most one of them can be recalled."""
        first: dict[tuple[Turn, ...], str] = {}
        return sum(first.setdefault(pair.turns, pair.target) != pair.target for pair in self.pairs)


def read_material(where: Where) -> Material:
    """Read pairs of text. Raises ConfigError that names row and field where something cannot be used."""
    check_path(where.path)
    path = Path(where.path).expanduser()
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        return _text_file(where)
    if path.is_file():
        rows: Sequence[Mapping[str, Any]] = read_rows(where.path, file_hash(where.path))
    else:
        rows = data_set(where.path, where.subset, where.split)
    found = text_pairs(rows, named(where.path), where.query_field, where.target_field)
    return Material(found.pairs, found.form.query_from, found.form.target_from)


def _text_file(where: Where) -> Material:
    """A text file is one target."""
    if where.query is None:
        raise ConfigError(f"{named(where.path)} is a text without a query; give the query with --query")
    text = read_file(where.path)
    if not text:
        raise ConfigError(f"{named(where.path)} is an empty file")
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"{named(where.path)} has {len(text):,} characters; allowed are at most {MAX_CHARACTERS:,}")
    return Material((TextPair.of(where.query, text),), "--query", "the whole text")


def tokenized(
    material: Material, prompt: Prompt, tokenizer: PreTrainedTokenizerBase, positions: float, known_ids: int
) -> list[Pair]:
    """Put pairs of text into token ids.

    Args:
        material: the pairs.
        prompt: how a query is put to the model.
        tokenizer: the model's.
        positions: tokens that the model can attend to.
        known_ids: token ids that the model has rows for, those below this number.

    Raises:
        ConfigError: a pair has no target tokens, is too long, or has tokens that the model lacks; it names the row.
    """
    pairs = []
    for number, pair in enumerate(material.pairs, start=1):
        where = f"row {number}"
        made = Pair(
            prompt.turns_ids(tokenizer, pair.turns, f"{where}, its query"), tuple(text_ids(tokenizer, pair.target))
        )
        size = len(made.query_ids) + len(made.target_ids)
        if not made.target_ids:
            raise ConfigError(f"{where}, its target: the tokenizer makes no token of it")
        if size > positions:
            raise ConfigError(f"{where}: query and target take {size} tokens; the model has {positions:g} positions")
        unknown = [token for token in (*made.query_ids, *made.target_ids) if token >= known_ids]
        if unknown:
            token = tokenizer.convert_ids_to_tokens(unknown[0])
            raise ConfigError(f"{where}: token {unknown[0]} ({token}) was added to the tokenizer, but not to the model")
        pairs.append(made)
    return pairs
