"""Brackets of the horizon ℓ*: between which lengths the longest recalled text of a rank and seed lies."""

import math

import numpy as np
import pandas as pd

RECALLED = "recall_exact_share"
"""1 where greedy decoding from the query alone brings the whole text back."""


def brackets(rows: pd.DataFrame) -> pd.DataFrame:
    """Bracket ℓ* of each rank and seed, from cells whose recall was measured.

    ℓ* lies between the longest recalled and the shortest text that was not. Where a longer text was recalled and a
    shorter one was not, it lies between these two all the same, and `orderly` is false.

    Columns: lora.rank, seed, cells, low (0: nothing was recalled), high (∞: everything was), orderly,
    bits_per_token (L0/ln 2, or H/ln 2 in rows that are counted from the source) and trainable_parameters.
    """
    bracketed = []
    for (rank, seed), cells in rows[rows[RECALLED].notna()].groupby(["lora.rank", "seed"]):
        whole = cells[RECALLED] == 1
        recalled, failed = cells.loc[whole, "target_tokens"], cells.loc[~whole, "target_tokens"]
        longest = float(recalled.max()) if len(recalled) else 0.0
        shortest = float(failed.min()) if len(failed) else math.inf
        bracketed.append(
            {
                "lora.rank": rank,
                "seed": seed,
                "cells": len(cells),
                "low": min(longest, shortest),
                "high": max(longest, shortest),
                "orderly": longest < shortest,
                "bits_per_token": cells["base_loss_nats"].mean() / math.log(2),
                "trainable_parameters": cells["trainable_parameters"].iloc[0],
            }
        )
    names = ["lora.rank", "seed", "cells", "low", "high", "orderly", "bits_per_token", "trainable_parameters"]
    return pd.DataFrame(bracketed, columns=names)


def closed(ends: pd.DataFrame) -> pd.Series:
    """Return whether each bracket has two ends."""
    return (ends["low"] > 0) & np.isfinite(ends["high"])
