"""Free-running recall: lets finished cells write their memories from the queries alone, token by token.

Greedy decoding writes exactly as many tokens as the target has. An end-of-sequence token is a token like any other.

Shapes: N cells, B pairs of a batch, T positions of a row, L target tokens.
"""

import logging
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from memlaw.adapters.stack import LoraPack
from memlaw.core.seeding import stream_seed
from memlaw.data.memory import Memory, Pair
from memlaw.training.decoding import reason_against_cache, write, write_by_rows
from memlaw.training.recall_record import Written
from memlaw.training.whole_model import WholeModel

log = logging.getLogger(__name__)

BATCH_ROWS, BATCH_TOKENS = 64, 2**16
"""Most rows of a decoding batch, over all cells, and most tokens of a batch of whole rows."""


def write_memories(
    model: PreTrainedModel,
    adapters: LoraPack,
    memories: Sequence[Memory],
    row_tokens: int | None,
    temperature: float | None = None,
) -> list[list[np.ndarray]]:
    """Let each cell write every pair of its memory: [cell][pair] → token ids of the target's length.

    Args:
        model: the base model, whole and without other adapters.
        adapters: of the cells, one per memory.
        memories: of the cells; a memory with fewer pairs repeats its last pair while the others go on.
        row_tokens: T to decode by whole rows; None decodes with a cache (`memlaw.training.decoding`).
        temperature: None for greedy decoding.
    """
    N, P = len(memories), max(len(memory.pairs) for memory in memories)
    written: list[list[np.ndarray]] = [[] for _ in memories]
    rows_at_once = BATCH_ROWS if row_tokens is None else min(BATCH_ROWS, BATCH_TOKENS // row_tokens)
    step = max(1, rows_at_once // N)
    with adapters.attach(model):
        for start in range(0, P, step):
            batch = [
                [memory.pairs[min(p, len(memory.pairs) - 1)] for p in range(start, min(start + step, P))]
                for memory in memories
            ]
            queries = [pair.query_ids for pairs in batch for pair in pairs]
            targets = [pair.target_ids for pairs in batch for pair in pairs]
            if row_tokens is None:
                rows = write(model, queries, max(map(len, targets)), temperature)
            else:
                rows = write_by_rows(model, queries, targets, row_tokens, temperature)
            for n, (memory, pairs) in enumerate(zip(memories, batch, strict=True)):
                for b, pair in enumerate(pairs):
                    if start + b < len(memory.pairs):
                        written[n].append(rows[n * len(pairs) + b, : len(pair.target_ids)].numpy())
    return written


class Recaller:
    """Lets cells of a training pack write their memories.

    Args:
        whole: the pack's base model.
        row_tokens: T of the pack's rows.
        temperature: of sampling; None samples nothing.
        repeats: samples of each pair.
    """

    def __init__(self, whole: WholeModel, *, row_tokens: int, temperature: float | None, repeats: int):
        self.whole = whole
        self.row_tokens = row_tokens
        self.temperature = temperature
        self.repeats = repeats
        self._control: dict[str, list[np.ndarray]] = {}

    def __call__(self, memories: Mapping[int, Memory]) -> list[Written]:
        """Let cells of the pack, given by index, write their memories."""
        new = {memory.fingerprint: memory for memory in memories.values() if memory.fingerprint not in self._control}
        together = self.whole.adapters.selected([*memories, *[None] * len(new)])
        with self.whole.restored():
            row_tokens = self._row_tokens([pair for memory in memories.values() for pair in memory.pairs])
            greedy = write_memories(self.whole.model, together, [*memories.values(), *new.values()], row_tokens)
            self._control |= dict(zip(new, greedy[len(memories) :], strict=True))
            samples = [self._samples(n, memory, row_tokens) for n, memory in memories.items()]
        decoding = "cache" if row_tokens is None else "rows"
        return [
            Written(rows, self._control[memory.fingerprint], drawn, decoding)
            for rows, memory, drawn in zip(greedy, memories.values(), samples, strict=False)
        ]

    def _row_tokens(self, pairs: Sequence[Pair]) -> int | None:
        """Return T to decode by whole rows; None when a cache gives the same result."""
        reason = reason_against_cache(self.whole.model, pairs, self.row_tokens)
        if reason is None:
            return None
        log.info("recall decodes by whole rows, without a KV cache: %s", reason)
        return self.row_tokens

    def _samples(self, n: int, memory: Memory, row_tokens: int | None) -> list[list[np.ndarray]]:
        """Sample from a cell alone, so that its samples do not depend on the pack."""
        if self.temperature is None:
            return []
        alone = self.whole.adapters.selected([n])
        with torch.random.fork_rng():
            torch.manual_seed(stream_seed(self.whole.adapters.specs[n].seed, "samples"))
            return [
                write_memories(self.whole.model, alone, [memory], row_tokens, self.temperature)[0]
                for _ in range(self.repeats)
            ]
