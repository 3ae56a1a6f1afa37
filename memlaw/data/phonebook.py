"""`phonebook`: many pairs, a name and its 10-digit number; also any table of queries and targets.

The length ℓ (`seq_len`) counts target tokens over the whole table (paper section "Tasks").
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from faker import Faker
from transformers import PreTrainedTokenizerBase

from memlaw.data.memory import Memory, Pair
from memlaw.data.prompt import check_query, query_ids, text_ids
from memlaw.data.text import parse_jsonl, read_file
from memlaw.errors import ConfigError
from memlaw.seeding import stream, stream_seed

_TARGET_TOKENS = 10
_QUERY_ALLOWANCE = 64


class RowSource(Protocol):
    """A source of (query, target) texts for `Table`."""

    def rows(self, seed: int) -> Iterator[tuple[str, str]]:
        """The rows in order; only invented rows depend on the seed."""
        ...


@dataclass(frozen=True)
class InventedNumbers:
    """Faker's names, all distinct, each with a uniformly drawn number of 10 digits.

    Attributes:
        query: the query with `{name}` where the name goes.
    """

    query: str

    def __post_init__(self) -> None:
        if not isinstance(self.query, str) or "{name}" not in self.query:
            raise ConfigError(f"data.query={self.query!r} must hold {{name}} where the name goes")

    def rows(self, seed: int) -> Iterator[tuple[str, str]]:
        """Endless rows, the same for the same seed."""
        fake = Faker("en_US")
        fake.seed_instance(stream_seed(seed, "phonebook names"))
        digits = stream(seed, "phonebook numbers")
        listed: set[str] = set()
        while True:
            name = f"{fake.first_name()} {fake.last_name()}"
            if name not in listed:
                listed.add(name)
                yield self.query.replace("{name}", name), "".join(map(str, digits.integers(10, size=10)))


@dataclass(frozen=True)
class TableFile:
    """A jsonl file whose rows hold `query` and `target`."""

    path: str
    content: str | None

    def rows(self, seed: int) -> Iterator[tuple[str, str]]:
        """The file's rows. Raises ConfigError when it is missing, malformed or lacks a field."""
        for number, row in enumerate(parse_jsonl(self.path, read_file(self.path, self.content)), start=1):
            if "query" not in row or "target" not in row:
                raise ConfigError(
                    f"data.path={self.path}, row {number}: needs the fields query and target; has {sorted(row)}"
                )
            yield str(row["query"]), str(row["target"])


@dataclass(frozen=True)
class Table:
    """Builds the pairs of a table.

    Attributes:
        name: short name for tables and directories.
        chat_template: see `memlaw.data.prompt.query_ids`.
        source: where the rows come from.
    """

    name: str
    chat_template: str
    source: RowSource

    def __post_init__(self) -> None:
        check_query("", self.chat_template)  # queries come with the rows

    def expected_shape(self, seq_len: int) -> tuple[int, int]:
        """Pairs of a ten-token target after a query with its chat template."""
        return -(-seq_len // _TARGET_TOKENS), _TARGET_TOKENS + _QUERY_ALLOWANCE

    def build(self, tokenizer: PreTrainedTokenizerBase, seq_len: int, seed: int) -> Memory:
        """As many whole rows as fit into `seq_len` target tokens; a shorter table is a prefix.

        Raises:
            ConfigError: not even the first row fits, or the rows end before `seq_len` is reached.
        """
        pairs: list[Pair] = []
        room = seq_len
        rows = self.source.rows(seed)
        for query, target in islice(rows, seq_len + 1):
            target_ids = tuple(text_ids(tokenizer, target))
            if len(target_ids) > room:
                break
            if target_ids:
                pairs.append(Pair(query_ids(tokenizer, query, self.chat_template), target_ids))
                room -= len(target_ids)
        else:
            if room > 0:
                raise ConfigError(
                    f"seq_len={seq_len} is longer than the table, which has {seq_len - room} target tokens"
                )
        if not pairs:
            raise ConfigError(f"seq_len={seq_len} has no room for the table's first target")
        return Memory(tuple(pairs))


def invented(name: str, query: str, chat_template: str) -> Table:
    """`data=phonebook`: invented names and numbers."""
    return Table(name, chat_template, InventedNumbers(query))


def from_file(name: str, chat_template: str, path: str, content: str | None) -> Table:
    """`data=table`: a jsonl file of queries and targets."""
    return Table(name, chat_template, TableFile(path, content))
