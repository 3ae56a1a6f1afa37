"""`phonebook`: many pairs, a name and its 10-digit number; also any table of queries and targets.

The length ℓ (`seq_len`) counts target tokens over the whole table (paper section "Tasks").
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Protocol

from faker import Faker
from transformers import PreTrainedTokenizerBase

from memlaw.core.errors import ConfigError, spelled
from memlaw.core.seeding import stream, stream_seed
from memlaw.data.fields import text_pairs
from memlaw.data.memory import Memory, Pair
from memlaw.data.prompt import Prompt, text_ids
from memlaw.data.rows import read_rows
from memlaw.data.text_file import check_path, checked_hash, named
from memlaw.data.turns import TextPair, Turn

_TARGET_TOKENS = 10
_QUERY_ALLOWANCE = 64


class RowSource(Protocol):
    """A source of pairs of text for `Table`.

    Attributes:
        target_entropy_nats: entropy of a target's text, nats; None where it is not known.
    """

    target_entropy_nats: ClassVar[float | None]

    def check(self) -> None:
        """Read the file, if there is one. Raises ConfigError when it cannot be used."""
        ...

    def rows(self, seed: int) -> Iterator[TextPair]:
        """Yield the rows in order; only invented rows depend on the seed."""
        ...


@dataclass(frozen=True)
class InventedNumbers:
    """Invents rows: Faker's names, all distinct, each with a uniformly drawn number of 10 digits.

    Attributes:
        query: the query, with `{name}` in place of the name.
    """

    target_entropy_nats: ClassVar[float | None] = 10 * math.log(10)

    query: str

    def __post_init__(self) -> None:
        if not isinstance(self.query, str) or "{name}" not in self.query:
            raise ConfigError(f"data.query={self.query!r} must contain {{name}} in place of the name")

    def check(self) -> None:
        """Do nothing: there is no file."""

    def rows(self, seed: int) -> Iterator[TextPair]:
        """Yield rows without end; equal seeds give equal rows."""
        fake = Faker("en_US")
        fake.seed_instance(stream_seed(seed, "phonebook names"))
        digits = stream(seed, "phonebook numbers")
        listed: set[str] = set()
        while True:
            name = f"{fake.first_name()} {fake.last_name()}"
            if name not in listed:
                listed.add(name)
                number = "".join(map(str, digits.integers(10, size=10)))
                yield TextPair.of(self.query.replace("{name}", name), number)


@dataclass(frozen=True)
class TableFile:
    """A file of rows that hold queries and targets, in a form of `memlaw.data.fields`.

    Attributes:
        path: of the file; see `memlaw.data.rows.read_rows`.
        content: the hash that the file must have (`memlaw.core.files.file_hash`); None allows any.
        query_field, target_field: fields that hold query and target; None: guessed by their names.
    """

    target_entropy_nats: ClassVar[float | None] = None

    path: str
    content: str | None
    query_field: str | None = None
    target_field: str | None = None

    def __post_init__(self) -> None:
        check_path(self.path)
        for key in ("query_field", "target_field"):
            if not isinstance(getattr(self, key), str | None):
                raise ConfigError(f"data.{key}={spelled(getattr(self, key))} is neither the name of a field nor null")

    def check(self) -> None:
        """Read the file. Raises ConfigError when it is missing or malformed, or a row cannot be stored."""
        self._pairs()

    def rows(self, seed: int) -> Iterator[TextPair]:
        """Yield the file's rows. Raises ConfigError as `check` does."""
        return iter(self._pairs())

    def _pairs(self) -> tuple[TextPair, ...]:
        return _distinct(self.path, checked_hash(self.path, self.content), self.query_field, self.target_field)


@lru_cache(maxsize=4)
def _distinct(
    path: str, content: str | None, query_field: str | None, target_field: str | None
) -> tuple[TextPair, ...]:
    """The pairs of a file, whose queries must differ."""
    pairs = text_pairs(read_rows(path, content), named(path), query_field, target_field).pairs
    numbers: dict[tuple[Turn, ...], int] = {}
    for number, pair in enumerate(pairs, start=1):
        if pair.turns in numbers:
            raise ConfigError(_same_query(f"{named(path)}, row {number}", numbers[pair.turns]))
        numbers[pair.turns] = number
    return pairs


def _same_query(where: str, before: int) -> str:
    return f"{where}: the model gets the same query as in row {before}; queries must differ"


@dataclass(frozen=True)
class Table:
    """Builds the pairs of a table.

    Attributes:
        name: short name for tables and directories.
        prompt: how a query is put to the model.
        source: of the rows.
    """

    name: str
    prompt: Prompt
    source: RowSource

    def expected_shape(self, seq_len: int) -> tuple[int, int]:
        """Count pairs of a ten-token target, each after a query with its chat template."""
        return -(-seq_len // _TARGET_TOKENS), _TARGET_TOKENS + _QUERY_ALLOWANCE

    def check(self) -> None:
        """See `memlaw.data.memory.DataSource`."""
        self.source.check()

    def build(
        self, tokenizer: PreTrainedTokenizerBase, seq_len: int, seed: int, known_ids: int | None = None
    ) -> Memory:
        """Build pairs from as many whole rows as fit into `seq_len` target tokens; a shorter table is a prefix.

        Raises:
            ConfigError: not even the first row fits, the rows end before `seq_len` is reached, a target has no
                tokens, or the tokens of two queries are the same.
        """
        pairs: list[Pair] = []
        targets: list[str] = []
        numbers: dict[tuple[int, ...], int] = {}
        room = seq_len
        for number, pair in enumerate(self.source.rows(seed), start=1):
            where = f"data: row {number}"
            target_ids = tuple(text_ids(tokenizer, pair.target))
            if not target_ids:
                raise ConfigError(f"{where}: the tokenizer makes no token of its target")
            if len(target_ids) > room:
                break
            prompt_ids = self.prompt.turns_ids(tokenizer, pair.turns, f"{where}, its query")
            if prompt_ids in numbers:
                raise ConfigError(_same_query(where, numbers[prompt_ids]))
            numbers[prompt_ids] = number
            pairs.append(Pair(prompt_ids, target_ids))
            targets.append(pair.target)
            room -= len(target_ids)
        else:
            if room > 0:
                raise ConfigError(
                    f"seq_len={seq_len} is longer than the table, which has {seq_len - room} target tokens"
                )
        if not pairs:
            raise ConfigError(f"seq_len={seq_len} has no room for the table's first target")
        return Memory(tuple(pairs), self._entropy(tokenizer, targets, pairs))

    def _entropy(
        self, tokenizer: PreTrainedTokenizerBase, targets: Sequence[str], pairs: Sequence[Pair]
    ) -> float | None:
        """Divide the entropy of a target's text by its number of tokens.

        None where that number differs between targets, or the tokens of a target do not give its text back.
        """
        nats, counts = self.source.target_entropy_nats, {len(pair.target_ids) for pair in pairs}
        if nats is None or len(counts) > 1:
            return None
        decoded = (str(tokenizer.decode(list(pair.target_ids))) for pair in pairs)
        lossless = all("".join(text.split()) == target for text, target in zip(decoded, targets, strict=True))
        return nats / counts.pop() if lossless else None


def invented(
    name: str,
    query: str,
    chat_template: str,
    system_prompt: str | None = None,
    template_arguments: Mapping[str, Any] | None = None,
) -> Table:
    """Make `data=phonebook`: invented names and numbers."""
    return Table(name, Prompt(chat_template, system_prompt, template_arguments), InventedNumbers(query))


def from_file(
    name: str,
    chat_template: str,
    path: str,
    content: str | None,
    system_prompt: str | None = None,
    template_arguments: Mapping[str, Any] | None = None,
    query_field: str | None = None,
    target_field: str | None = None,
) -> Table:
    """Make `data=table`: a file of queries and targets."""
    prompt = Prompt(chat_template, system_prompt, template_arguments)
    return Table(name, prompt, TableFile(path, content, query_field, target_field))
