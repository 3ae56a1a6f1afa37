"""Tells an adapter that is too small for its data from one that was trained too little.

Bits per parameter are those that are to be stored (Σ base NLL over the targets), or that are stored, per trainable
parameter of the adapter.
"""

import math

import pandas as pd

from memlaw.verification.verdict import Case, Size, Verdict

RECALLED_BITS = (0.3, 0.45)
"""Bits per parameter up to which adapters recalled random texts to their last token: of rank 1, which failed beyond;
and of ranks 2 and 4, the most that was tried (docs/experiments/horizon.parquet: ℓ·L0/ln 2 of recalled texts, 500 steps,
the down-projection of one layer). Other places hold less: attention a fifth of it (docs/experiments/placement.md)."""

HELD_BITS = 2.0
"""Bits of facts per parameter that whole models hold after long training (arXiv 2404.05405)."""


def too_small_or_too_short(case: Case, share: str) -> Verdict:
    """Tell the two apart, where the measurements can.

    Args:
        case: an adapter far from recalling its data.
        share: how much of it is recalled, in words.
    """
    pairs, size, trend = case.pairs, case.size, case.trend
    if not size.parameters:
        text = f"Far from recalled ({share}); without the adapter's size, too small and too short look the same."
        return Verdict("training or capacity", text, ())
    needed, stored = (float(pairs[name].sum()) / size.parameters for name in ("base_bits", "stored_bits"))
    low, high = RECALLED_BITS
    evidence = [
        f"the data asks for {needed:.2g} bits per parameter; {stored:.2g} are stored",
        f"adapters of one map of an MLP recalled random texts whole up to {low:g} to {high:g} bits per parameter; of "
        "attention, expect less",
        _where(case.tokens),
        *([trend.text] if trend else ["no log of the training lies beside the checkpoint"]),
        *case.remarks,
    ]
    larger = _larger(size, needed)
    if needed <= low:
        text = f"Trained too little: {share}, though the adapter is large enough for this data, if it is all of it."
        return Verdict("training", text, tuple(evidence), ("train longer, or with another learning rate",))
    if needed >= HELD_BITS or (needed > high and trend is not None and trend.has_stopped):
        text = f"The adapter is too small for this data: {share}."
        return Verdict("capacity", text, tuple(evidence), (larger,))
    if trend is not None and trend.falling and needed <= high:
        text = f"Trained too little: {share}, and the loss still fell."
        return Verdict("training", text, tuple(evidence), ("train longer", f"if that does not do, {larger}"))
    text = f"Far from recalled ({share}); whether it is too small or trained too little cannot be told."
    return Verdict("training or capacity", text, tuple(evidence), ("train longer", larger))


def _where(tokens: pd.DataFrame) -> str:
    """Where in their targets the wrong tokens lie: evenly spread, their median is near the middle."""
    last = tokens.groupby("pair")["position"].transform("max").clip(lower=1)
    wrong = tokens["argmax_id"] != tokens["token_id"]
    median = (tokens["position"] / last)[wrong].median()
    return f"{wrong.mean():.0%} of the tokens are wrong, at a median of {median:.0%} of the way through their target"


def _larger(size: Size, needed: float) -> str:
    """How much larger an adapter would recall the data, by the bits that others recalled."""
    low, high = (needed / bits for bits in reversed(RECALLED_BITS))
    if size.rank is None:
        return f"take {low:.2g} to {high:.2g} times the parameters"
    return f"take rank {math.ceil(size.rank * low)} to {math.ceil(size.rank * high)} in the same modules"
