"""The tables of a verification's page, under headings for people."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from memlaw_analysis.pages.text import visible_text
from memlaw_analysis.verification.record import VerificationRecord

MOST_PAIRS = 5000
"""Rows of the table of pairs, at most: more make a page slow to open."""

MOST_CHARACTERS = 80
"""Characters of a query or a target in the table of pairs, at most."""

_ADAPTER = {
    "base_loss_nats": "L0 (nats)",
    "loss_nats": "L (nats)",
    "base_bits": "bits to store",
    "stored_bits": "stored bits",
    "bits_per_parameter": "bits per parameter",
    "recalled_share": "tokens with p > 0.5",
    "recalled_pairs": "pairs recalled",
    "exact_share": "decoded exactly",
    "control_exact_share": "base decodes exactly",
    "min_p": "smallest p",
}

_PAIR = {
    "adapter": "adapter",
    "pair": "pair",
    "row": "row",
    "verdict": "verdict",
    "min_p": "smallest p",
    "stubborn": "tokens with p ≤ 0.5",
    "first_stubborn": "first p ≤ 0.5",
    "first_wrong": "first wrong",
    "base_first_wrong": "base: first wrong",
    "exact": "decoded exactly",
    "matched_prefix": "decoded before the first wrong",
    "tokens": "tokens",
    "base_bits": "bits to store",
    "stored_bits": "stored bits",
    "nats": "NLL (nats)",
    "query": "query",
    "target": "target",
    "evidence": "evidence",
}
"""Columns of `pairs.parquet` in the order of the page → their headings."""

FORMATS = {
    "parameters": "{:,}",
    **dict.fromkeys(("L0 (nats)", "L (nats)", "as judged"), "{:.4f}"),
    **dict.fromkeys(("bits to store", "stored bits"), "{:,.1f}"),
    **dict.fromkeys(("bits per parameter", "smallest p"), "{:.3g}"),
    **dict.fromkeys(
        ("tokens with p > 0.5", "pairs recalled", "recalled as judged", "decoded exactly", "base decodes exactly"),
        "{:.1%}",
    ),
}
"""Heading of the tables of adapters and probes → format of its numbers."""

PAIR_FORMATS = {
    **dict.fromkeys(("bits to store", "stored bits"), "{:.1f}"),
    "NLL (nats)": "{:.3f}",
    "smallest p": "{:.3g}",
    **dict.fromkeys(
        ("first p ≤ 0.5", "first wrong", "base: first wrong", "decoded before the first wrong"), "{:.0f}"
    ),
}  # fmt: skip
"""Heading of the table of pairs → format of its numbers."""


def adapters_table(adapters: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per adapter: its size, its verdict and its summary."""
    rows = [
        {
            "adapter": adapter["name"],
            "verdict": adapter["verdict"]["kind"],
            "tuner": adapter["tuner"],
            "rank": adapter["rank"],
            "parameters": adapter["trainable_parameters"] or None,
            **{heading: adapter["summary"][name] for name, heading in _ADAPTER.items()},
        }
        for adapter in adapters
    ]
    return pd.DataFrame(rows, dtype=object)


def probes_table(adapters: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return a row per adapter and probe: another template or another computation, and what it changed."""
    rows = [
        {
            "adapter": adapter["name"],
            "changed": probe["kind"],
            "to": probe["name"],
            "pairs": probe["pairs"],
            "L (nats)": probe["loss_nats"],
            "as judged": probe["asked_loss_nats"],
            "pairs recalled": probe["recalled_share"],
            "recalled as judged": probe["asked_share"],
        }
        for adapter in adapters
        for probe in adapter["probes"]
    ]
    return pd.DataFrame(rows, dtype=object)


def pairs_table(verification: VerificationRecord) -> pd.DataFrame:
    """Return a row per shown adapter and pair, the most stubborn first, `MOST_PAIRS` at most. Long texts are cut."""
    rows = verification.shown_pairs.sort_values(["min_p", "adapter", "pair"], kind="stable").head(MOST_PAIRS)
    words = {name: rows[name].map(_cut) for name in ("query", "target")}
    words["exact"] = rows["exact"].map({True: "yes", False: "no"})
    return rows.assign(**words)[list(_PAIR)].rename(columns=_PAIR).astype(object)


def _cut(text: str) -> str:
    shown = visible_text(text[: MOST_CHARACTERS + 1])
    return shown if len(text) <= MOST_CHARACTERS else f"{shown[:MOST_CHARACTERS]}…"
