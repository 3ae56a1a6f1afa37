"""How cells learn: what every recorded evaluation says of them, from step 0 to the last."""

import numpy as np
import pandas as pd

from analysis.transition import CRITICAL_P, is_right

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def evaluations(tokens: pd.DataFrame) -> pd.DataFrame:
    """A row per cell and evaluation, from tables of all evaluations.

    Columns: cell, step, `loss_nats`, `recalled_share`, `right_share` (argmax right), `first_wrong_share` (mean over
    pairs of the share of a target before its first wrong argmax: what greedy decoding brings back), `exact_share`
    (pairs with none wrong), `active_share` (mean weight in the method's loss: what is still trained), `spent_share`
    (share of all weight that lies on recalled tokens; 0 where there is no weight), and quantiles of p as `p10` to
    `p90`.
    """
    recalled = tokens["p"] > CRITICAL_P
    marked = tokens.assign(
        recalled=recalled,
        spent=tokens["weight"].where(recalled, 0.0),
        right=is_right(tokens),
        length=tokens["position"].to_numpy() + 1,
    )
    by = ["cell", "step"]
    groups = marked.groupby(by)
    table = pd.DataFrame(
        {
            "loss_nats": groups["nll"].mean(),
            "recalled_share": groups["recalled"].mean(),
            "right_share": groups["right"].mean(),
            "active_share": groups["weight"].mean(),
            "spent_share": (groups["spent"].sum() / groups["weight"].sum()).fillna(0.0),
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


def learned(history: pd.DataFrame) -> pd.DataFrame:
    """How each cell got there: cell, `steps_to_recall` and `spent_on_recalled`.

    `steps_to_recall` is the first recorded step at which every argmax is right, NaN if there is none; as evaluations
    are log-spaced, the true one lies between the evaluation before and it. `spent_on_recalled` is the mean of
    `spent_share` over all steps (trapezoids between evaluations).
    """
    rows = []
    for cell, evaluated in history.groupby("cell"):
        ordered = evaluated.sort_values("step")
        step, spent = ordered["step"].to_numpy(float), ordered["spent_share"].to_numpy()
        exact = step[ordered["exact_share"].to_numpy() == 1]
        rows.append(
            {
                "cell": cell,
                "steps_to_recall": exact[0] if len(exact) else np.nan,
                "spent_on_recalled": np.trapezoid(spent, step) / step[-1] if step[-1] else spent[0],
            }
        )
    return pd.DataFrame(rows)


def telling_length(cells: pd.DataFrame) -> float:
    """The length whose ranks differ most in recalled share: where the edge of capacity can be seen."""
    spread = cells.groupby("target_tokens")["recalled_share"].agg(lambda share: float(np.std(share)))
    many = cells.groupby("target_tokens")["lora.rank"].nunique()
    return float((spread + 1e-3 * many).idxmax())
