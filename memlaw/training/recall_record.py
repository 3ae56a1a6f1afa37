"""Compares the tokens that a cell wrote from its queries with its targets: the content of `recall.json`.

Teacher forcing predicts the first failure of greedy decoding: the first position whose argmax is wrong. The first
position with p ≤ 0.5 is never beyond it. This is a theorem: a violation is a bug, or a floating-point tie.

Shapes: L target tokens of a pair, S target tokens of all pairs in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from memlaw.data.memory import Memory, Pair


@dataclass(frozen=True)
class Written:
    """Token ids that a cell writes for each of its pairs, as many as the target has.

    Attributes:
        greedy: by greedy decoding.
        control: by greedy decoding of the base model without an adapter, which shows lucky guesses.
        samples: by sampling, for each repeat.
        decoding: `cache` or `rows`; see `memlaw.training.decoding`.
    """

    greedy: list[np.ndarray]
    control: list[np.ndarray]
    samples: list[list[np.ndarray]]
    decoding: str


def compare(pair: Pair, written_L: np.ndarray) -> dict[str, Any]:
    """Compare written tokens with a pair's target.

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


def recall_record(memory: Memory, written: Written, p_S: np.ndarray, argmax_S: np.ndarray) -> dict[str, Any]:
    """Make the content of `recall.json`: columns of `memlaw.study.records.RESULT_COLUMNS`, and a row per pair.

    Args:
        memory: the targets.
        written: the written tokens.
        p_S, argmax_S: of the last evaluation, by teacher forcing.
    """
    rows, start = [], 0
    for pair, greedy, control in zip(memory.pairs, written.greedy, written.control, strict=True):
        part = slice(start, start + len(pair.target_ids))
        start = part.stop
        stubborn, wrong = p_S[part] <= 0.5, argmax_S[part] != np.array(pair.target_ids)
        base = compare(pair, control)
        rows.append(
            {
                **compare(pair, greedy),
                "length": len(pair.target_ids),
                "predicted_first_failure": int(wrong.argmax()) if wrong.any() else None,
                "first_stubborn": int(stubborn.argmax()) if stubborn.any() else None,
                "control_exact": base["exact"],
                "control_token_accuracy": base["token_accuracy"],
            }
        )
    drawn = [compare(pair, row) for sample in written.samples for pair, row in zip(memory.pairs, sample, strict=True)]
    return {
        **summary(rows),
        "recall_decoding": written.decoding,
        "sample_exact_share": float(np.mean([row["exact"] for row in drawn])) if drawn else None,
        "sample_token_accuracy": float(np.mean([row["token_accuracy"] for row in drawn])) if drawn else None,
        "by_pair": rows,
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, float | int]:
    """Summarize the rows of a cell as columns of `memlaw.study.records.RESULT_COLUMNS`."""

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
