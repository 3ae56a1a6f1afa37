"""The order of the pairs in training.

Shapes: N cells, B rows of a step per cell.
"""

from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np
import torch
from torch.utils.data import IterableDataset

from memlaw.core.seeding import stream
from memlaw.methods.curriculum import Curriculum
from memlaw.methods.schedule import steps_per_epoch


def row_stream(pairs: int, seed: int, curriculum: Curriculum, batch_size: int) -> Iterator[np.ndarray]:
    """Yield one cell's batches of row numbers [B] without end.

    Each epoch visits every pair that takes part in it once, in a new random order. A partial batch is filled with -1,
    which scores nothing, so that the shape is fixed. The order depends on the arguments alone, never on the pack.
    """
    batch_rows = min(batch_size, pairs)
    rng = stream(seed, "row order")
    first = stream(seed, "curriculum").permutation(pairs) if curriculum.shares else np.arange(pairs)
    for epoch in count():
        taking_part = curriculum.pairs_in(epoch, pairs, batch_rows)
        filled = np.full(steps_per_epoch(taking_part, batch_rows) * batch_rows, -1, dtype=np.int64)
        filled[:taking_part] = first[rng.permutation(taking_part)]
        yield from filled.reshape(-1, batch_rows)


class RowOrder(IterableDataset):
    """The row numbers of each step of a pack: yields `rows_NB`, int64.

    It has a length, because Lightning then fetches a batch when its step begins and not one step ahead. So the batch
    after `keep` has rows of the kept cells only.

    Args:
        streams: of the cells; see `row_stream`.
        steps: the steps to yield; the streams skip those before its start.
    """

    def __init__(self, streams: Sequence[Iterator[np.ndarray]], steps: range):
        self._streams: list[Iterator[np.ndarray]] = [islice(rows, steps.start, None) for rows in streams]
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[torch.Tensor]:
        for _ in self._steps:
            yield torch.from_numpy(np.stack([next(rows_B) for rows_B in self._streams]))

    def keep(self, kept: Sequence[int]) -> None:
        """Go on with some of the cells, given by index."""
        self._streams = [self._streams[n] for n in kept]
