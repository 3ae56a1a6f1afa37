"""Free-running recall: what the model writes from the query alone, token by token, against the target.

Greedy decoding of exactly as many tokens as the target has; an end-of-sequence token is a token like any other. By
teacher forcing two positions are known before: the first whose argmax is wrong, at which greedy decoding must first
fail, and the first with p ≤ 0.5, which is never beyond it (a theorem; a violation is a bug, or a floating-point tie).

Shapes: N cells, B pairs of a batch, T positions of a row, L target tokens.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from memlaw.data.memory import Memory, Pair
from memlaw.decoding import reason_against_cache, write, write_by_rows
from memlaw.lora import LoraPack
from memlaw.prefix import Prefix
from memlaw.seeding import stream_seed

log = logging.getLogger(__name__)

BATCH_ROWS, BATCH_TOKENS = 64, 2**16
"""Rows decoded together, over all cells, and their tokens where whole rows are run."""


@contextmanager
def whole_model(adapters: LoraPack, prefix: Prefix | None) -> Iterator[None]:
    """In the middle of training, the base model as it was: no adapter acts, nothing stands in for its layers."""
    with ExitStack() as whole:
        if prefix:
            whole.enter_context(prefix.restored())
        whole.enter_context(adapters.paused())
        yield


def write_memories(
    model: PreTrainedModel,
    adapters: LoraPack,
    memories: Sequence[Memory],
    row_tokens: int | None,
    temperature: float | None = None,
) -> list[list[np.ndarray]]:
    """What each cell writes for each pair of its memory: [cell][pair] → token ids of the target's length.

    Args:
        model: the base model, whole and without other adapters.
        adapters: of as many cells as there are memories.
        memories: of the cells; one with fewer pairs repeats its last one while others go on.
        row_tokens: decode by whole rows of so many tokens; None decodes with a cache (`memlaw.decoding`).
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


@dataclass(frozen=True)
class Written:
    """What a cell writes for each of its pairs, token ids of the target's length.

    Attributes:
        greedy: by greedy decoding.
        control: the same by the base model, without an adapter: a lucky guess shows here.
        samples: by sampling, once per repeat.
        decoding: `cache` or `rows`: see `memlaw.decoding`.
    """

    greedy: list[np.ndarray]
    control: list[np.ndarray]
    samples: list[list[np.ndarray]]
    decoding: str


class Recaller:
    """Lets cells of a training pack write their memories.

    Args:
        model: the base model, the pack's adapters attached.
        adapters: the pack's adapters.
        prefix: what stands in for the model's first layers meanwhile, if anything.
        row_tokens: T of the pack's rows.
        temperature, repeats: of sampling; None does not sample.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        adapters: LoraPack,
        prefix: Prefix | None,
        row_tokens: int,
        temperature: float | None,
        repeats: int,
    ):
        self.model = model
        self.adapters = adapters
        self.prefix = prefix
        self.row_tokens = row_tokens
        self.temperature = temperature
        self.repeats = repeats
        self._control: dict[str, list[np.ndarray]] = {}

    def __call__(self, cells: Sequence[int], memories: Sequence[Memory]) -> list[Written]:
        """What the given cells of the pack write.

        Args:
            cells: their places in the pack.
            memories: of these cells.
        """
        new = {memory.fingerprint: memory for memory in memories if memory.fingerprint not in self._control}
        together = self.adapters.selected([*cells, *[None] * len(new)])
        with whole_model(self.adapters, self.prefix):
            row_tokens = self._row_tokens([pair for memory in memories for pair in memory.pairs])
            greedy = write_memories(self.model, together, [*memories, *new.values()], row_tokens)
            self._control |= dict(zip(new, greedy[len(cells) :], strict=True))
            samples = [self._samples(cell, memory, row_tokens) for cell, memory in zip(cells, memories, strict=True)]
        decoding = "cache" if row_tokens is None else "rows"
        return [
            Written(own, self._control[memory.fingerprint], drawn, decoding)
            for own, memory, drawn in zip(greedy, memories, samples, strict=False)
        ]

    def _row_tokens(self, pairs: Sequence[Pair]) -> int | None:
        """Length of the rows to decode by; None where a cache gives the same."""
        reason = reason_against_cache(self.model, pairs, self.row_tokens)
        if reason is None:
            return None
        log.info("recall decodes by whole rows, without a KV cache: %s", reason)
        return self.row_tokens

    def _samples(self, cell: int, memory: Memory, row_tokens: int | None) -> list[list[np.ndarray]]:
        """A cell's own samples: of one cell at a time, so that they do not depend on the pack."""
        if self.temperature is None:
            return []
        alone = self.adapters.selected([cell])
        with torch.random.fork_rng():
            torch.manual_seed(stream_seed(self.adapters.specs[cell].seed, "samples"))
            return [
                write_memories(self.model, alone, [memory], row_tokens, self.temperature)[0]
                for _ in range(self.repeats)
            ]


def compare(pair: Pair, written_L: np.ndarray) -> dict[str, Any]:
    """One pair's recall.

    Returns:
        exact, token_accuracy (share of positions), matched_prefix (tokens before the first failure) and
        first_failure (position, or None).
    """
    right_L = written_L == np.array(pair.target_ids)
    failure = None if right_L.all() else int(right_L.argmin())
    return {
        "exact": failure is None,
        "token_accuracy": float(right_L.mean()),
        "matched_prefix": len(right_L) if failure is None else failure,
        "first_failure": failure,
    }


def recall_record(
    memory: Memory,
    written: Written,
    p_S: np.ndarray,
    argmax_S: np.ndarray,
) -> dict[str, Any]:
    """The content of `recall.json`: overall, and a row per pair.

    Args:
        memory: what was to be recalled. S target tokens, pairs in order.
        written: what the cell wrote.
        p_S, argmax_S: of the last evaluation, given the true prefix.
    """
    rows, start = [], 0
    for pair, own, base in zip(memory.pairs, written.greedy, written.control, strict=True):
        part = slice(start, start + len(pair.target_ids))
        start = part.stop
        stubborn, wrong = p_S[part] <= 0.5, argmax_S[part] != np.array(pair.target_ids)
        rows.append(
            {
                **compare(pair, own),
                "length": len(pair.target_ids),
                "predicted_first_failure": int(wrong.argmax()) if wrong.any() else None,
                "first_stubborn": int(stubborn.argmax()) if stubborn.any() else None,
                "control_exact": compare(pair, base)["exact"],
                "control_token_accuracy": compare(pair, base)["token_accuracy"],
            }
        )
    drawn = [compare(pair, own) for sample in written.samples for pair, own in zip(memory.pairs, sample, strict=True)]
    return {
        **summary(rows),
        "recall_decoding": written.decoding,
        "sample_exact_share": float(np.mean([row["exact"] for row in drawn])) if drawn else None,
        "sample_token_accuracy": float(np.mean([row["token_accuracy"] for row in drawn])) if drawn else None,
        "by_pair": rows,
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float | int]:
    """What the rows of a cell come to, as in `memlaw.records.RESULT_COLUMNS`."""

    def position(row: dict[str, Any], name: str) -> int:
        return row["length"] if row[name] is None else row[name]

    tokens = sum(row["length"] for row in rows)
    return {
        "recall_exact_share": float(np.mean([row["exact"] for row in rows])),
        "recall_token_accuracy": sum(row["token_accuracy"] * row["length"] for row in rows) / tokens,
        "recall_matched_share": float(np.mean([row["matched_prefix"] / row["length"] for row in rows])),
        "recall_unlike_predicted": sum(
            position(row, "first_failure") != position(row, "predicted_first_failure") for row in rows
        ),
        "recall_order_violations": sum(
            position(row, "first_failure") < position(row, "first_stubborn") for row in rows
        ),
        "control_exact_share": float(np.mean([row["control_exact"] for row in rows])),
        "control_token_accuracy": sum(row["control_token_accuracy"] * row["length"] for row in rows) / tokens,
    }
