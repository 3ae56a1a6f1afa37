"""What was measured of each pair: a row per pair, and a row per token."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from memlaw.data.turns import TextPair

Decode = Callable[[int], str]
"""Turns a token id into text."""


def token_table(base: pd.DataFrame, scored: pd.DataFrame, name: str, decode: Decode) -> pd.DataFrame:
    """Join the scores of the base model and of an adapter; columns `memlaw.study.verification.TOKEN_COLUMNS`.

    Args:
        base, scored: a row per pair and target token: pair, position, token_id, nll, argmax_id, argmax_nll.
        name: of the adapter.
        decode: turns a token id into text.
    """
    joined = scored.merge(
        base[["pair", "position", "nll"]].rename(columns={"nll": "base_nll"}), on=["pair", "position"]
    ).sort_values(["pair", "position"], ignore_index=True)
    texts = {int(token): decode(int(token)) for token in {*joined["token_id"], *joined["argmax_id"]}}
    return pd.DataFrame(
        {
            "adapter": name,
            **{column: joined[column] for column in ("pair", "position", "token_id")},
            "token": joined["token_id"].map(texts),
            **{column: joined[column] for column in ("base_nll", "nll", "argmax_id")},
            "argmax": joined["argmax_id"].map(texts),
            "argmax_nll": joined["argmax_nll"],
        }
    )


def pair_table(
    tokens: pd.DataFrame, base: pd.DataFrame, decoded: pd.DataFrame | None, pairs: Sequence[TextPair]
) -> pd.DataFrame:
    """Summarize tokens by pair; columns `memlaw.study.verification.PAIR_COLUMNS` without the verdict.

    Args:
        tokens: `token_table` of an adapter.
        base: the scores of the base model.
        decoded: a row per pair: pair, exact, matched_prefix; None: not decoded.
        pairs: the texts.
    """
    base_wrong = _first(base["pair"], base["position"], base["argmax_id"] != base["token_id"])
    stubborn = tokens["nll"] >= math.log(2)
    groups = tokens.groupby("pair")
    table = pd.DataFrame(
        {
            "adapter": groups["adapter"].first(),
            "row": groups["pair"].first() + 1,
            "tokens": groups.size(),
            "base_nats": groups["base_nll"].sum(),
            "nats": groups["nll"].agg(lambda nll: nll.sum(skipna=False)),
            "min_p": np.exp(-groups["nll"].agg(lambda nll: nll.max(skipna=False))),
            "stubborn": stubborn.groupby(tokens["pair"]).sum(),
            "first_stubborn": _first(tokens["pair"], tokens["position"], stubborn),
            "first_wrong": _first(tokens["pair"], tokens["position"], tokens["argmax_id"] != tokens["token_id"]),
            "base_first_wrong": base_wrong,
        }
    ).reset_index(names="pair")
    table["query"] = [pairs[index].query for index in table["pair"]]
    table["target"] = [pairs[index].target for index in table["pair"]]
    table["base_bits"] = table["base_nats"] / math.log(2)
    table["stored_bits"] = (table["base_nats"] - table["nats"]) / math.log(2)
    unknown = pd.DataFrame({"pair": table["pair"], "exact": None, "matched_prefix": None})
    written = unknown if decoded is None else decoded[["pair", "exact", "matched_prefix"]]
    return table.merge(written, on="pair").sort_values("pair", ignore_index=True)


def _first(pair: pd.Series, position: pd.Series, chosen: pd.Series) -> pd.Series:
    """The first chosen position of each pair; missing where there is none."""
    found = position[chosen].groupby(pair[chosen]).min()
    return found.reindex(sorted(pair.unique())).astype("Int64")


def is_recalled(pairs: pd.DataFrame) -> pd.Series:
    """Tell which pairs are recalled: greedy decoding writes the target; where not decoded, no argmax is wrong."""
    predicted = pairs["first_wrong"].isna()
    return pairs["exact"].where(pairs["exact"].notna(), predicted).astype(bool)


def stubborn(tokens: pd.DataFrame, most: int = 5) -> tuple[str, ...]:
    """Describe the least probable of the wrong tokens, each with the token that beats it."""
    worst = tokens[tokens["argmax_id"] != tokens["token_id"]].nlargest(most, "nll")
    return tuple(
        f"row {row.pair + 1}, token {row.position}: {row.token!r} has p = {math.exp(-row.nll):.3f}, "
        f"{row.argmax!r} has {math.exp(-row.argmax_nll):.3f}"
        for row in worst.itertuples()
    )


def summary(pairs: pd.DataFrame, tokens: pd.DataFrame, parameters: int) -> dict[str, float | None]:
    """Summarize an adapter over all pairs; what is not finite is None. See `memlaw_analysis.verification`."""
    stored = float(pairs["stored_bits"].sum(skipna=False))
    values = {
        "base_loss_nats": float(tokens["base_nll"].mean()),
        "loss_nats": float(tokens["nll"].mean(skipna=False)),
        "base_bits": float(pairs["base_bits"].sum()),
        "stored_bits": stored,
        "bits_per_parameter": stored / parameters if parameters else None,
        "recalled_share": float((tokens["nll"] < math.log(2)).mean()),
        "recalled_pairs": float(is_recalled(pairs).mean()),
        "exact_share": None if pairs["exact"].isna().any() else float(pairs["exact"].astype(bool).mean()),
        "min_p": float(pairs["min_p"].min()),
        "control_exact_share": float(pairs["base_first_wrong"].isna().mean()),
    }
    return {name: value if value is not None and math.isfinite(value) else None for name, value in values.items()}
