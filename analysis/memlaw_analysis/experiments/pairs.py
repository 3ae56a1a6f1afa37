"""Many small memories against one text of equal bits: which is stored better, and which rank each needs."""

import pandas as pd

from memlaw_analysis.experiments.estimate import Estimate, ratio_of
from memlaw_analysis.experiments.experiment import Claim, Experiment, Outcome, Stance, ordered
from memlaw_analysis.experiments.pairs_figure import pairs_figure
from memlaw_analysis.law.bits import bits_in
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.saturation import DEFAULT

EQUAL = 0.25
"""Bits of a table and of a text count as equal within this share of the text's."""

RECALLED = 0.99
"""Share of tokens with p > 0.5 that counts as recalled."""

_CELL = ["lora.rank", "seed"]


def with_bits(rows: pd.DataFrame) -> pd.DataFrame:
    """Add `bits`, what the base model does not know of a memory, and `share`, how much of it is stored."""
    bits = [bits_in(*of) for of in zip(rows["target_tokens"], rows["base_loss_nats"], strict=True)]
    return rows.assign(bits=bits, share=rows["delta_loss_nats"] / rows["base_loss_nats"])


def matched(rows: pd.DataFrame) -> pd.DataFrame:
    """Put each table beside the text of the nearest bits, of the same rank and seed.

    Columns: `lora.rank`, `seed`; `pairs`, `target_tokens`, `bits`, `share` and `recalled_share` of the table; the last
    four with `_text` of the text.

    Args:
        rows: cells of `with_bits`. A table has more than one pair.
    """
    wanted = [*_CELL, "pairs", "target_tokens", "bits", "share", "recalled_share"]
    tables, texts = (rows.loc[which, wanted] for which in (rows["pairs"] > 1, rows["pairs"] == 1))
    both = tables.merge(texts.drop(columns="pairs"), on=_CELL, suffixes=("", "_text"))
    off = (both["bits"] / both["bits_text"] - 1).abs()
    nearest = off == off.groupby([both[name] for name in (*_CELL, "pairs")]).transform("min")
    return both[nearest & (off <= EQUAL)].reset_index(drop=True)


def ratio(cells: pd.DataFrame) -> Estimate:
    """Return the stored share of tables over that of texts, over cells of `matched` of which one is unsaturated.

    Raises:
        TooFewCells: fewer than two.
    """
    telling = cells[(cells[["share", "share_text"]] < DEFAULT.at).any(axis=1)]
    telling = telling[(telling[["share", "share_text"]] > 0).all(axis=1)]
    return ratio_of(telling["share"], telling["share_text"])


def ranks(cells: pd.DataFrame) -> pd.DataFrame:
    """Return which rank recalls a table, and which the text of its bits, in every seed; NaN: none of the measured."""
    rows = []
    for pairs, group in cells.groupby("pairs"):
        by_rank = group.groupby("lora.rank")[["recalled_share", "recalled_share_text"]].min() >= RECALLED
        table, text = (by_rank.index[by_rank[name]].min() for name in by_rank)
        rows.append(
            {
                "pairs": pairs,
                "bits": group["bits"].mean(),
                "ℓ of the text": group["target_tokens_text"].mean(),
                "cells": len(group),
                "share stored": group["share"].mean(),
                "share stored of the text": group["share_text"].mean(),
                "rank that recalls the table": table,
                "and the text": text,
            }
        )
    return pd.DataFrame(rows)


def analyze(rows: pd.DataFrame) -> Outcome:
    """Analyze the rows of the experiment `pairs`."""
    cells = matched(with_bits(rows))
    ratios = {pairs: _ratio(group) for pairs, group in cells.groupby("pairs")}
    overall = _ratio(cells)
    measured = {rank: _ratio(group) for rank, group in cells.groupby("lora.rank")}
    by_rank = {rank: each for rank, each in measured.items() if isinstance(each, Estimate)}
    claims = [_claim(f"tables of {pairs:g} pairs", each) for pairs, each in ratios.items()]
    return Outcome(
        claims=ordered(claims or [Claim(Stance.OPEN, "No table and text of equal bits have both been run.")]),
        numbers={
            "by_rank": {f"{rank:g}": each for rank, each in by_rank.items()},
            "ratio": overall if isinstance(overall, Estimate) else None,
            "pairs": sorted(float(pairs) for pairs, each in ratios.items() if isinstance(each, Estimate)),
            "by_pairs": {f"{pairs:g}": each if isinstance(each, Estimate) else None for pairs, each in ratios.items()},
        },
        tables={"ranks": ranks(cells), "cells": _table(cells)},
        figure=pairs_figure(cells) if len(cells) else None,
    )


def _ratio(cells: pd.DataFrame) -> Estimate | str:
    """The ratio, or why there is none."""
    try:
        return ratio(cells)
    except TooFewCells as error:
        return str(error)


def _claim(what: str, found: Estimate | str) -> Claim:
    if isinstance(found, str):
        return Claim(Stance.OPEN, f"Whether {what} are stored like one text of equal bits is open: {found}.")
    text = f"of {what} {found} times the share is stored that is stored of one random text of equal bits"
    if found.is_close_to(1):
        return Claim(Stance.FOR, f"Bits count alike in many pairs and in one text: {text}.")
    if found.includes(1):
        return Claim(Stance.OPEN, f"Many pairs and one text do not differ beyond the noise: {text}.")
    word = "more" if found.low > 1 else "less"
    return Claim(Stance.AGAINST, f"**Many pairs are stored {word} than one text of equal bits**: {text}.")


def _table(cells: pd.DataFrame) -> pd.DataFrame:
    names = {
        "pairs": "pairs", "lora.rank": "r", "seed": "seed", "bits": "bits", "share": "share stored",
        "recalled_share": "p > 0.5", "bits_text": "bits of the text", "share_text": "share stored of the text",
        "recalled_share_text": "p > 0.5 in the text",
    }  # fmt: skip
    return cells.sort_values(["pairs", *_CELL])[[*names]].rename(columns=names)


PAIRS = Experiment(
    "pairs", "Do many pairs need what one text of equal bits needs?", "pairs", ("pairs", "pairs_text"), analyze
)
