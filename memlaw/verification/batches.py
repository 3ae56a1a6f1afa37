"""Batches of pairs of about equal length, whose results are kept on disk: what was computed is not computed again."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from memlaw.core.files import atomic_path
from memlaw.data.memory import Pair

BATCH_TOKENS, BATCH_ROWS = 4096, 64
"""Most tokens of a batch, padding included, unless a row alone has more; and most rows."""

Batch = list[int]
"""Indices of pairs."""


def batches_of(sizes: Sequence[int]) -> list[Batch]:
    """Group rows by their size, so that little is padding.

    Args:
        sizes: tokens of each row.
    """
    batches: list[Batch] = []
    for index in sorted(range(len(sizes)), key=lambda index: sizes[index]):
        last = batches[-1] if batches else None
        if last and len(last) < BATCH_ROWS and (len(last) + 1) * sizes[index] <= BATCH_TOKENS:
            last.append(index)
        else:
            batches.append([index])
    return batches


@dataclass(frozen=True)
class Kept:
    """Tables of batches in a directory, which exists once the first is kept. None: nothing is kept.

    Attributes:
        directory: whose name tells all that the tables depend on.
    """

    directory: Path | None

    def run(self, batches: Sequence[Batch], compute: Callable[[Batch], pd.DataFrame], shown: "Shown") -> pd.DataFrame:
        """Compute the table of each batch, or read it where it is kept; return them as one.

        Args:
            batches: always the same for this directory.
            compute: makes the table of a batch.
            shown: shows the progress over the batches.
        """
        tables = []
        for number, batch in enumerate(shown(batches)):
            file = self.directory / f"{number:06d}.parquet" if self.directory else None
            if file and file.is_file():
                tables.append(pd.read_parquet(file))
                continue
            table = compute(batch)
            if file:
                with atomic_path(file) as temporary:
                    table.to_parquet(temporary)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)


Shown = Callable[[Sequence[Batch]], Iterator[Batch]]
"""Yields batches and shows how far they have come."""


def silent(batches: Sequence[Batch]) -> Iterator[Batch]:
    """Show nothing."""
    yield from batches


def pairs_of(batch: Batch, pairs: Sequence[Pair]) -> list[Pair]:
    """Look up the pairs of a batch."""
    return [pairs[index] for index in batch]
