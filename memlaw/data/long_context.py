"""`long_context`: one pair, a fixed query and one long target, with a share of random tokens.

Paper section "Tasks" (arXiv 2605.30260): a share ρ (`data.random_ratio`) of the target's tokens is replaced
by tokens drawn uniformly from the ordinary vocabulary. ρ = 1 is pure noise, ρ = 0 the plain text.
"""

import math
import re
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase

from memlaw.config.values import check_number
from memlaw.core.errors import ConfigError
from memlaw.core.seeding import stream
from memlaw.data.memory import Memory, Pair
from memlaw.data.prompt import check_query, query_ids, text_ids
from memlaw.data.text import FictionalProse, HubText, TextFile, TextSource

QUERY_ALLOWANCE = 64
"""Most tokens that a query with its chat template is expected to take, for estimates of RAM."""

_BLOCK = 20
_UNUSED = re.compile(r"^[<\[(]?\|?(unused|reserved|extra_id|dummy|padding)", re.IGNORECASE)


@dataclass(frozen=True)
class LongContext:
    """Builds the one pair of a long-context memory.

    Attributes:
        name: short name for tables and directories.
        random_ratio: ρ, from 0 to 1.
        query: the query, unless the text comes with its own.
        chat_template: see `memlaw.data.prompt.query_ids`.
        source: of the text; not read when ρ = 1.
    """

    name: str
    random_ratio: float
    query: str
    chat_template: str
    source: TextSource

    def __post_init__(self) -> None:
        check_number("data.random_ratio", self.random_ratio, "between 0 and 1", lambda ratio: 0 <= ratio <= 1)
        check_query(self.query, self.chat_template)

    def expected_shape(self, seq_len: int) -> tuple[int, int]:
        """Return one pair, and the tokens of its query and its `seq_len` target tokens."""
        return 1, seq_len + QUERY_ALLOWANCE

    def check(self) -> None:
        """See `memlaw.data.memory.DataSource`."""
        if self.random_ratio < 1:
            self.source.read(seed=0)

    def build(
        self, tokenizer: PreTrainedTokenizerBase, seq_len: int, seed: int, known_ids: int | None = None
    ) -> Memory:
        """Build the pair, with exactly `seq_len` target tokens.

        For the same seed, a shorter target is a prefix of a longer one. The positions replaced at a lower ρ are among
        those replaced at a higher ρ.

        Raises:
            ConfigError: the text has fewer than `seq_len` tokens.
        """
        query, text = self.query, np.zeros(seq_len, dtype=np.int64)
        if self.random_ratio < 1:
            source_text = self.source.read(seed)
            query = source_text.query or query
            ids: list[int] = []
            writes_space = begins_with_space(tokenizer)
            for number, piece in enumerate(source_text.pieces):
                ids += text_ids(tokenizer, piece.removeprefix(" ") if number and writes_space else piece)
                if len(ids) >= seq_len:
                    break
            else:
                raise ConfigError(f"seq_len={seq_len} is longer than the text, which has {len(ids)} tokens")
            text = np.array(ids[:seq_len])
        ordinary = ordinary_ids(tokenizer, known_ids)
        noise = ordinary[stream(seed, "random tokens").integers(len(ordinary), size=seq_len)]
        target = np.where(replaced_positions(seq_len, self.random_ratio, seed), noise, text)
        entropy = math.log(len(ordinary)) if self.random_ratio == 1 else None  # that of a text is not known
        return Memory((Pair(query_ids(tokenizer, query, self.chat_template), tuple(target.tolist())),), entropy)


def fictional(name: str, random_ratio: float, query: str, chat_template: str) -> LongContext:
    """Make `data=long_context`: invented prose."""
    return LongContext(name, random_ratio, query, chat_template, FictionalProse())


def from_file(
    name: str, random_ratio: float, query: str, chat_template: str, path: str, content: str | None, row: int
) -> LongContext:
    """Make `data=text`: a text or a row of a table; see `memlaw.data.text.TextFile`."""
    return LongContext(name, random_ratio, query, chat_template, TextFile(path, content, row))


def from_hub(
    name: str,
    random_ratio: float,
    query: str,
    chat_template: str,
    path: str,
    subset: str | None,
    split: str,
    row: int,
) -> LongContext:
    """Make `data=hub`: a row of a `datasets` data set; see `memlaw.data.text.HubText`."""
    return LongContext(name, random_ratio, query, chat_template, HubText(path, subset, split, row))


def replaced_positions(length: int, ratio: float, seed: int) -> np.ndarray:
    """Choose the positions to replace at `ratio`: a boolean array of `length`.

    The choice is stratified: each run of 20 positions holds the ratio's share as exactly as whole tokens allow. It is
    nested in both arguments: a shorter length gives a prefix, a lower ratio a subset.
    """
    rng = stream(seed, "replaced positions")
    thresholds = np.concatenate(
        [(rng.permutation(_BLOCK) + rng.random(_BLOCK)) / _BLOCK for _ in range(-(-length // _BLOCK))]
    )
    return thresholds[:length] < ratio


def ordinary_ids(tokenizer: PreTrainedTokenizerBase, known_ids: int | None = None) -> np.ndarray:
    """List the ids below `known_ids`, ascending, that are no special, added, unused or reserved token."""
    excluded = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    ids = (index for token, index in tokenizer.get_vocab().items() if not _UNUSED.match(token))
    return np.array(
        sorted(index for index in ids if index not in excluded and (known_ids is None or index < known_ids))
    )


def begins_with_space(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Tell whether the tokenizer puts a space before a text, as Llama 2's does; pieces must then begin without one."""
    bare, spaced = text_ids(tokenizer, "a"), text_ids(tokenizer, " a")
    together, doubled = (tokenizer.decode(bare + ids, clean_up_tokenization_spaces=False) for ids in (bare, spaced))
    return (together, doubled) == ("a a", "a  a")
