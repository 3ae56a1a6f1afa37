"""The p > 0.5 transition, token by token: what greedy decoding recalls, given the true prefix.

A token with p > 0.5 is certain to be the argmax; the converse does not hold. Tables have a row per target token of one
evaluation, with the columns `p`, `nll`, `token_id`, `argmax_id`, `pair`, `position` and `cell`.
"""

import math

import numpy as np
import pandas as pd

from memlaw.study.records import CRITICAL_LOSS_NATS

BINS = 20
CRITICAL_P = math.exp(-CRITICAL_LOSS_NATS)


def is_right(tokens: pd.DataFrame) -> pd.Series:
    """Return whether the argmax is the target token, for each token."""
    return tokens["argmax_id"] == tokens["token_id"]


def transition(tokens: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """Return P(argmax right | p): a row per bin of p: `low`, `high`, `tokens`, `right` (share, NaN in an empty bin)."""
    edges = np.linspace(0, 1, bins + 1)
    index = np.clip(np.digitize(tokens["p"], edges[1:-1], right=True), 0, bins - 1)  # bins are (low, high]
    groups = is_right(tokens).groupby(index)
    counts = groups.size().reindex(range(bins), fill_value=0)
    right = groups.mean().reindex(range(bins)).to_numpy()
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "tokens": counts.to_numpy(), "right": right})


def violations(tokens: pd.DataFrame) -> pd.DataFrame:
    """Return tokens with p > 0.5 that are not the argmax. Only ties allow that, so the table is wrong."""
    return tokens[(tokens["p"] > CRITICAL_P) & ~is_right(tokens)]


def lucky_share(tokens: pd.DataFrame) -> float:
    """Return the share of the right tokens that are right at p ≤ 0.5; NaN where none is right."""
    right = tokens[is_right(tokens)]
    return float((right["p"] <= CRITICAL_P).mean()) if len(right) else float("nan")


def first_failures(tokens: pd.DataFrame) -> pd.DataFrame:
    """Find the first position with p ≤ 0.5 and the first wrong argmax, a row per cell and pair.

    Columns: cell, pair, length, `first_stubborn` and `first_wrong`, which never comes before `first_stubborn`. Where
    there is no such token, the position is the target's length.
    """
    marked = tokens.assign(wrong=~is_right(tokens), stubborn=tokens["p"] <= CRITICAL_P)
    groups = marked.groupby(["cell", "pair"])
    length = groups["position"].max() + 1

    def first(name: str) -> pd.Series:
        position = marked[marked[name]].groupby(["cell", "pair"])["position"].min()
        return position.reindex(length.index).fillna(length).astype(int)

    return pd.DataFrame(
        {"length": length, "first_stubborn": first("stubborn"), "first_wrong": first("wrong")}
    ).reset_index()


def decoupled(tokens: pd.DataFrame, below_nats: float = float(np.log(2))) -> list[str]:
    """Return the cells whose mean loss is below `below_nats` but which greedy decoding would not recall verbatim."""
    loss = tokens.groupby("cell")["nll"].mean()
    failing = (~is_right(tokens)).groupby(tokens["cell"]).any()
    return [str(name) for name in loss.index[(loss < below_nats) & failing]]


def wrong_positions(tokens: pd.DataFrame) -> pd.Series:
    """Return the relative position in its target, 0 to 1, of each token whose argmax is wrong."""
    length = tokens.groupby(["cell", "pair"])["position"].transform("max") + 1
    return (tokens["position"] / length)[~is_right(tokens)]
