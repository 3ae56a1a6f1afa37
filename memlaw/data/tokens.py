"""Memories as token batches: the rectangular tables of a pack, and the order in which pairs are trained.

Shapes: N cells, P pairs of a cell, T token positions of a row, L target tokens of a row, B rows of a batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset

from memlaw.data.curriculum import Curriculum
from memlaw.data.memory import Memory
from memlaw.errors import ConfigError
from memlaw.seeding import stream


@dataclass(frozen=True)
class TokenTable:
    """All rows of all cells of a pack, padded on the right.

    Right padding needs no attention mask: a causal model never looks at it from a scored position.

    Attributes:
        pairs: how many of the P rows each cell really has.
        input_ids_NPT: query, target, padding.
        position_NPL: position in the row of each target token.
        valid_NPL: False where the target is padded.
    """

    pairs: tuple[int, ...]
    input_ids_NPT: torch.Tensor
    position_NPL: torch.Tensor
    valid_NPL: torch.Tensor

    @classmethod
    def from_memories(cls, memories: list[Memory]) -> "TokenTable":
        """Lay out the memories of a pack's cells."""
        N, P = len(memories), max(len(memory.pairs) for memory in memories)
        pairs = [pair for memory in memories for pair in memory.pairs]
        L = max(len(pair.target_ids) for pair in pairs)
        T = max(memory.row_tokens for memory in memories)
        input_ids = np.zeros((N, P, T), dtype=np.int64)
        position = np.ones((N, P, L), dtype=np.int64)
        valid = np.zeros((N, P, L), dtype=bool)
        for n, memory in enumerate(memories):
            for p, pair in enumerate(memory.pairs):
                start, length = len(pair.query_ids), len(pair.target_ids)
                input_ids[n, p, : start + length] = pair.query_ids + pair.target_ids
                position[n, p, :length] = np.arange(start, start + length)
                valid[n, p, :length] = True
        tensors = (torch.from_numpy(array) for array in (input_ids, position, valid))
        return cls(tuple(len(memory.pairs) for memory in memories), *tensors)

    def to(self, device: torch.device) -> "TokenTable":
        """The same table on `device`."""
        tensors = (self.input_ids_NPT, self.position_NPL, self.valid_NPL)
        return TokenTable(self.pairs, *(tensor.to(device) for tensor in tensors))

    def targets(self, rows_NB: torch.Tensor) -> torch.Tensor:
        """Target tokens [N, B, L] of the given rows; anything for padding and for a row of -1."""
        cell_N1, row_NB = torch.arange(len(rows_NB), device=rows_NB.device)[:, None], rows_NB.clamp(min=0)
        return self.input_ids_NPT[cell_N1, row_NB].gather(2, self.position_NPL[cell_N1, row_NB])

    def select(self, cells: torch.Tensor) -> "TokenTable":
        """The table of some of the cells, given by index."""
        tensors = (self.input_ids_NPT, self.position_NPL, self.valid_NPL)
        chosen = (tensor[cells.to(tensor.device)] for tensor in tensors)
        return TokenTable(tuple(self.pairs[index] for index in cells.tolist()), *chosen)


def steps_per_epoch(pairs: int, batch_size: int) -> int:
    """Batches that visit every pair once; the last may be partial."""
    return -(-pairs // batch_size)


def loop_shape(config: Any, pairs: int, curriculum: Curriculum) -> tuple[int, int]:
    """Rows per step and total steps of a cell with `pairs` pairs; `config` is the cell's.

    Raises:
        ConfigError: they end before the curriculum lets all pairs take part for an epoch.
    """
    batch_rows = min(config.batch_size, pairs)

    def steps_of(epochs: int) -> int:
        taking_part = (curriculum.pairs_in(epoch, pairs, batch_rows) for epoch in range(epochs))
        return sum(steps_per_epoch(count, batch_rows) for count in taking_part)

    total = config.steps or steps_of(config.epochs)
    needed = steps_of(curriculum.last_until + 1)
    if curriculum.shares and total < needed:
        given = f"steps={config.steps}" if config.steps else f"epochs={config.epochs}"
        raise ConfigError(
            f"{given} ends before method.curriculum has let all {pairs} pairs take part: that takes {needed} steps, "
            f"or epochs={curriculum.last_until + 1}; give more, or smaller method.curriculum.until_epochs"
        )
    return batch_rows, total


class RowOrder(IterableDataset):
    """Endless batches of row numbers: every pair that takes part once an epoch, shuffled anew each epoch, per cell.

    Yields `rows_NB`, int64. A partial batch is filled with -1, which scores nothing, so that the shape is
    fixed. A cell's order depends on its own seed, pairs and curriculum alone, never on the pack.
    The first `start` batches are left out.
    """

    def __init__(
        self,
        pairs: tuple[int, ...],
        seeds: tuple[int, ...],
        curricula: tuple[Curriculum, ...],
        batch_size: int,
        start: int = 0,
    ):
        self.pairs = pairs
        self.seeds = seeds
        self.curricula = curricula
        self.batch_size = min(batch_size, max(pairs))
        self.start = start

    def __iter__(self) -> Iterator[torch.Tensor]:
        cells = [self._cell(*cell) for cell in zip(self.pairs, self.seeds, self.curricula, strict=True)]
        for rows in islice(zip(*cells, strict=True), self.start, None):
            yield torch.from_numpy(np.stack(rows))

    def _cell(self, pairs: int, seed: int, curriculum: Curriculum) -> Iterator[np.ndarray]:
        rng = stream(seed, "row order")
        first = stream(seed, "curriculum").permutation(pairs) if curriculum.shares else np.arange(pairs)
        for epoch in count():
            taking_part = curriculum.pairs_in(epoch, pairs, self.batch_size)
            filled = np.full(steps_per_epoch(taking_part, self.batch_size) * self.batch_size, -1, dtype=np.int64)
            filled[:taking_part] = first[rng.permutation(taking_part)]
            yield from filled.reshape(-1, self.batch_size)
