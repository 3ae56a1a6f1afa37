"""How cells learn: every recorded evaluation, from step 0 to the last."""

import numpy as np
import pandas as pd

from analysis.transition import CRITICAL_P, is_right

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def evaluations(tokens: pd.DataFrame) -> pd.DataFrame:
    """Summarize token tables: a row per cell and evaluation.

    Columns: cell, step, and
        loss_nats: mean loss, nats per token.
        recalled_share: share of tokens with p > 0.5.
        right_share: share of tokens that are the argmax.
        first_wrong_share: share of a target before its first wrong argmax, which greedy decoding recalls.
        exact_share: share of pairs without a wrong argmax.
        active_share: mean weight of a token in the method's loss.
        spent_share: share of all weight that lies on recalled tokens; 0 where there is no weight.
        p10, p25, p50, p75, p90: quantiles of p.
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
    """Return the last evaluation of each cell."""
    return table.loc[table.groupby("cell")["step"].idxmax()].reset_index(drop=True)


def learned(history: pd.DataFrame) -> pd.DataFrame:
    """Summarize each cell's history, as `evaluations` returns it: a row per cell.

    Columns: cell, and
        steps_to_recall: first recorded step at which every argmax is right; NaN if there is none. Evaluations are
            log-spaced, so the true step lies between the evaluation before and this one.
        spent_on_recalled: mean of `spent_share` over all steps (trapezoids between evaluations).
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
    """Return the length whose ranks differ most in recalled share, because it shows the edge of capacity."""
    spread = cells.groupby("target_tokens")["recalled_share"].agg(lambda share: float(np.std(share)))
    many = cells.groupby("target_tokens")["lora.rank"].nunique()
    return float((spread + 1e-3 * many).idxmax())
