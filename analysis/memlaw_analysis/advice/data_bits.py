"""The bits of a user's data that a base model does not know. Another process computes them: it needs torch."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memlaw.core.errors import ConfigError

VERIFY = (sys.executable, "-m", "memlaw.verify")
"""The command that scores data."""

ROWS = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
"""Suffixes of files of rows; any other file is one text."""

BATCH_ROWS = 100
"""Most pairs of a step of the sweep that is advised; pairs were measured so."""

QUERY = "Recite the memorized text."
"""What a text is asked by, as `data=text` trains it."""


@dataclass(frozen=True)
class DataBits:
    """What of some data is to be stored.

    Attributes:
        path: of the data.
        bits: Σ of the base model's NLL over the targets, in bits.
        pairs: number of pairs.
        tokens: target tokens over all pairs.
    """

    path: Path
    bits: float
    pairs: int
    tokens: int

    @property
    def trainable(self) -> dict[str, Any]:
        """Keys that train on it: rows of query and target as `table`, another file as `text`; all pairs in a step."""
        name = "table" if self.path.suffix.lower() in ROWS else "text"
        return {"data.name": name, "data.path": str(self.path), "batch_size": min(self.pairs, BATCH_ROWS)}

    def sweep(self, rank: float) -> tuple[list[int], list[int]]:
        """Return the ranks and the length of a sweep on the data itself: half the rank, the rank, and twice it."""
        middle = max(1, round(rank))
        return sorted({max(1, middle // 2), middle, 2 * middle}), [self.tokens]


def score_data(data: Path, model: str, verify: Sequence[str] | None = None) -> DataBits:
    """Let the base model score the targets of some data. Its progress is shown on the error stream.

    Args:
        data: what `memlaw verify --data` reads.
        model: what `memlaw verify --model` takes.
        verify: the command; None is `VERIFY`.

    Raises:
        ConfigError: the command refused the data or the model; its own message says why.
    """
    options = ("--adapter", "none", "--data", str(data), "--model", model, "--query", QUERY, "--no-decode", "--json")
    done = subprocess.run([*(verify or VERIFY), *options], stdout=subprocess.PIPE, text=True, encoding="utf-8")
    if done.returncode:
        raise ConfigError(f"{data} could not be scored by {model}; the message of `memlaw verify` is above")
    record = json.loads(done.stdout)
    (base,) = record["adapters"]
    found = record["data"]
    return DataBits(data, float(base["summary"]["base_bits"]), int(found["pairs"]), int(found["target_tokens"]))
