"""`long_context`: one pair, a fixed query and one long target, with a share of random tokens.

Paper section "Tasks" (arXiv 2605.30260): a share ρ (`data.random_ratio`) of the target's tokens is replaced
by tokens drawn uniformly from the ordinary vocabulary. ρ = 1 is pure noise, ρ = 0 the plain text.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice, repeat
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from memlaw.config.values import check_number, check_switch
from memlaw.core.errors import ConfigError
from memlaw.core.seeding import stream
from memlaw.data.memory import Memory, Pair
from memlaw.data.prompt import Prompt, check_query, text_ids
from memlaw.data.text import FictionalProse, HubText, Text, TextFile, TextSource

QUERY_ALLOWANCE = 64
"""Most tokens that a query with its chat template is expected to take, for estimates of RAM."""

_BLOCK = 20
_RETOKENIZED = 4096
"""Tokens that are decoded and tokenized again together. The size is fixed, so that shorter targets are prefixes."""
_UNUSED = re.compile(r"^[<\[(]?\|?(unused|reserved|extra_id|dummy|padding)", re.IGNORECASE)


@dataclass(frozen=True)
class LongContext:
    """Builds the one pair of a long-context memory.

    Attributes:
        name: short name for tables and directories.
        random_ratio: ρ, from 0 to 1.
        query: the query, unless the text comes with its own.
        prompt: how the query is put to the model.
        source: of the text; not read when ρ = 1.
        retokenize: whether the target, random tokens included, is decoded to text and tokenized again.
    """

    name: str
    random_ratio: float
    query: str
    prompt: Prompt
    source: TextSource
    retokenize: bool = False

    def __post_init__(self) -> None:
        check_number("data.random_ratio", self.random_ratio, "between 0 and 1", lambda ratio: 0 <= ratio <= 1)
        check_query(self.query)
        check_switch("data.retokenize", self.retokenize)

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
        those replaced at a higher ρ; after `retokenize`, which moves the tokens, this holds only for the text before.

        Raises:
            ConfigError: the text has fewer than `seq_len` tokens.
        """
        text = self.source.read(seed) if self.random_ratio < 1 else None
        ordinary = ordinary_ids(tokenizer, known_ids)
        ids = repeat(0) if text is None else _piecewise_ids(tokenizer, text)
        target: list[int] = []
        for block in self._blocks(ids, ordinary, seed, _RETOKENIZED if self.retokenize else seq_len):
            target += _retokenized(tokenizer, block) if self.retokenize else block
            if len(target) >= seq_len:
                break
        else:
            raise ConfigError(f"seq_len={seq_len} is longer than the text, which has {len(target)} tokens")
        query = self.query if text is None or text.query is None else text.query
        uniform = self.random_ratio == 1 and not self.retokenize
        entropy = math.log(len(ordinary)) if uniform else None  # that of a text is not known
        return Memory((Pair(self.prompt.query_ids(tokenizer, query), tuple(target[:seq_len])),), entropy)

    def _blocks(self, text: Iterator[int], ordinary: np.ndarray, seed: int, size: int) -> Iterator[list[int]]:
        """Yield the text with a share of its tokens replaced, `size` tokens at a time."""
        for start in count(0, size):
            kept = np.fromiter(islice(text, size), np.int64)
            stop = start + len(kept)
            noise = ordinary[stream(seed, "random tokens").integers(len(ordinary), size=stop)]
            replaced = replaced_positions(stop, self.random_ratio, seed)
            yield np.where(replaced, noise, np.pad(kept, (start, 0)))[start:].tolist()
            if len(kept) < size:
                return


def fictional(
    name: str,
    random_ratio: float,
    query: str,
    chat_template: str,
    system_prompt: str | None = None,
    template_arguments: Mapping[str, Any] | None = None,
    retokenize: bool = False,
) -> LongContext:
    """Make `data=long_context`: invented prose."""
    prompt = Prompt(chat_template, system_prompt, template_arguments)
    return LongContext(name, random_ratio, query, prompt, FictionalProse(), retokenize)


def from_file(
    name: str,
    random_ratio: float,
    query: str,
    chat_template: str,
    path: str,
    content: str | None,
    row: int,
    system_prompt: str | None = None,
    template_arguments: Mapping[str, Any] | None = None,
    retokenize: bool = False,
) -> LongContext:
    """Make `data=text`: a text or a row of a table; see `memlaw.data.text.TextFile`."""
    prompt = Prompt(chat_template, system_prompt, template_arguments)
    return LongContext(name, random_ratio, query, prompt, TextFile(path, content, row), retokenize)


def from_hub(
    name: str,
    random_ratio: float,
    query: str,
    chat_template: str,
    path: str,
    subset: str | None,
    split: str,
    row: int,
    system_prompt: str | None = None,
    template_arguments: Mapping[str, Any] | None = None,
    retokenize: bool = False,
) -> LongContext:
    """Make `data=hub`: a row of a `datasets` data set; see `memlaw.data.text.HubText`."""
    prompt = Prompt(chat_template, system_prompt, template_arguments)
    return LongContext(name, random_ratio, query, prompt, HubText(path, subset, split, row), retokenize)


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


def _piecewise_ids(tokenizer: PreTrainedTokenizerBase, text: Text) -> Iterator[int]:
    """Yield the token ids of a text, each of its pieces tokenized when it is needed."""
    writes_space = begins_with_space(tokenizer)
    for number, piece in enumerate(text.pieces):
        yield from text_ids(tokenizer, piece.removeprefix(" ") if number and writes_space else piece)


def _retokenized(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> list[int]:
    """Decode token ids to text and tokenize it. The number of tokens may change."""
    return text_ids(tokenizer, str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)))
