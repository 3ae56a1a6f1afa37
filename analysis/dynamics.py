"""How cells learn: what every recorded evaluation says of them, from step 0 to the last."""

import numpy as np
import pandas as pd

from analysis.phase import CRITICAL_P, is_right

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def evaluations(tokens: pd.DataFrame) -> pd.DataFrame:
    """A row per cell and evaluation, from tables of all evaluations.

    Columns: cell, step, `loss_nats`, `recalled_share`, `right_share` (argmax right), `first_wrong_share` (mean over
    pairs of the share of a target before its first wrong argmax: what greedy decoding brings back), `exact_share`
    (pairs with none wrong), and quantiles of p as `p10` to `p90`.
    """
    marked = tokens.assign(
        recalled=tokens["p"] > CRITICAL_P, right=is_right(tokens), length=tokens["position"].to_numpy() + 1
    )
    by = ["cell", "step"]
    groups = marked.groupby(by)
    table = pd.DataFrame(
        {
            "loss_nats": groups["nll"].mean(),
            "recalled_share": groups["recalled"].mean(),
            "right_share": groups["right"].mean(),
        }
    )
    pairs = [*by, "pair"]
    length = marked.groupby(pairs)["length"].max()
    wrong = marked.loc[~marked["right"]].groupby(pairs)["position"].min().reindex(length.index)
    before = (wrong.fillna(length) / length).groupby(by).mean()
    exact = wrong.isna().groupby(by).mean()
    quantiles = groups["p"].quantile(list(QUANTILES)).unstack()
    quantiles.columns = pd.Index([f"p{round(100 * q)}" for q in QUANTILES])
    return table.assign(first_wrong_share=before, exact_share=exact).join(quantiles).reset_index()


def final(table: pd.DataFrame) -> pd.DataFrame:
    """The last evaluation of each cell."""
    return table.loc[table.groupby("cell")["step"].idxmax()].reset_index(drop=True)


def telling_length(cells: pd.DataFrame) -> float:
    """The length whose ranks differ most in recalled share: where the edge of capacity can be seen."""
    spread = cells.groupby("target_tokens")["recalled_share"].agg(lambda share: float(np.std(share)))
    many = cells.groupby("target_tokens")["lora.rank"].nunique()
    return float((spread + 1e-3 * many).idxmax())
