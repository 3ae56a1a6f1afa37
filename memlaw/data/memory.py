"""A memory: the (query, target) pairs of token ids that a cell must store."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Pair:
    """A query, and the target that must follow it; only the target's tokens are scored."""

    query_ids: tuple[int, ...]
    target_ids: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """All pairs of a cell, in a fixed order.

    Attributes:
        pairs: the pairs.
        source_entropy_nats: H, the entropy of the source that drew the targets, nats per target token; None where it
            is not known exactly. No model that has learned only the source reaches a smaller expected loss.
    """

    pairs: tuple[Pair, ...]
    source_entropy_nats: float | None = None

    @property
    def target_tokens(self) -> int:
        """Number of target tokens over all pairs: the length ℓ of the law."""
        return sum(len(pair.target_ids) for pair in self.pairs)

    @cached_property
    def row_tokens(self) -> int:
        """Number of tokens of the longest pair, query and target: the length of the rows."""
        return max(len(pair.query_ids) + len(pair.target_ids) for pair in self.pairs)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of all token ids with their boundaries."""
        digest = hashlib.sha256()
        for pair in self.pairs:
            for ids in (pair.query_ids, pair.target_ids):
                digest.update(np.array([len(ids), *ids], dtype="<i8").tobytes())
        return digest.hexdigest()[:16]


class DataSource(Protocol):
    """A source of memories; constructed from `conf/data/*.yaml`."""

    def check(self) -> None:
        """Read the files that `build` will read, without a tokenizer. Raises ConfigError when one cannot be used."""
        ...

    def build(
        self, tokenizer: PreTrainedTokenizerBase, seq_len: int, seed: int, known_ids: int | None = None
    ) -> Memory:
        """Build the memory of `seq_len` target tokens; equal arguments give equal token ids.

        Args:
            tokenizer: the base model's.
            seq_len: target tokens over all pairs.
            seed: the cell's.
            known_ids: draw only token ids below this one, for the base model has no others; None: draw any.
        """
        ...

    def expected_shape(self, seq_len: int) -> tuple[int, int]:
        """Estimate the number of pairs and the tokens of each, query and target, without a tokenizer."""
        ...
