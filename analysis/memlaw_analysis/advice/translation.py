"""Does a law of random tokens say what is stored of other texts? By bits, and by tokens, on cells it has not seen."""

from collections.abc import Callable

import pandas as pd

from memlaw_analysis.advice.link import Link
from memlaw_analysis.law.bits import bits_in, stored_share, tokens_worth
from memlaw_analysis.law.fit import LawFit
from memlaw_analysis.law.forms import Inputs
from memlaw_analysis.law.inverse import rank_needed
from memlaw_analysis.law.saturation import DEFAULT

Way = Callable[[LawFit, pd.DataFrame, pd.Series], float]
"""(law, cells it was fitted to, a cell of another text) → predicted share ΔL/L0 of that cell."""

BITS = "bits"


def _share(fit: LawFit, rank: float, tokens: float, base_loss: float) -> float:
    return float(fit.predict(Inputs.grid(rank, tokens, base_loss))) / base_loss


def _by_bits(fit: LawFit, fitted: pd.DataFrame, cell: pd.Series) -> float:
    bits = bits_in(cell["target_tokens"], cell["base_loss_nats"])
    return stored_share(fit.predict, cell["lora.rank"], bits, _base_loss(fitted))


def _by_bits_over_entropy(fit: LawFit, fitted: pd.DataFrame, cell: pd.Series) -> float:
    entropy = float(fitted["source_entropy_nats"].mean())
    return _share(fit, cell["lora.rank"], _worth(cell, entropy), _base_loss(fitted))


def _by_tokens_as_nats(fit: LawFit, fitted: pd.DataFrame, cell: pd.Series) -> float:
    return _share(fit, cell["lora.rank"], cell["target_tokens"], cell["base_loss_nats"])


def _by_tokens_as_share(fit: LawFit, fitted: pd.DataFrame, cell: pd.Series) -> float:
    return _share(fit, cell["lora.rank"], cell["target_tokens"], _base_loss(fitted))


WAYS: dict[str, Way] = {
    BITS: _by_bits,
    "bits, over the entropy": _by_bits_over_entropy,
    "tokens, as nats": _by_tokens_as_nats,
    "tokens, as a share": _by_tokens_as_share,
}
"""Ways to read the law for another text; advice goes by the first.

By bits: at as many fitted tokens as hold the bits, B·ln 2/L0. Over the entropy: B·ln 2/H. By tokens: at the text's own
number of tokens, either saturated at its own L0, or with the fitted share ΔL/L0 taken over.
"""


def predictions(fit: LawFit, fitted: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Predict the stored share of cells that the law has not seen, by each way.

    Columns: those of `others`; `share`, the measured ΔL/L0; a column per key of `WAYS`; `telling`: whether the share or
    a prediction of it is unsaturated. In the other cells everything is stored, and each way says so.

    Args:
        fit: the law.
        fitted: the cells that it was fitted to.
        others: cells of other texts.
    """
    columns = {name: [way(fit, fitted, cell) for _, cell in others.iterrows()] for name, way in WAYS.items()}
    cells = others.assign(share=others["delta_loss_nats"] / others["base_loss_nats"], **columns)
    return cells.assign(telling=(cells[["share", *WAYS]] < DEFAULT.at).any(axis=1))


def errors(cells: pd.DataFrame) -> pd.DataFrame:
    """Return `mean` and `worst` of |predicted − measured share| by way, over the telling cells of `predictions`."""
    telling = cells[cells["telling"]]
    missed = telling[[*WAYS]].sub(telling["share"], axis=0).abs()
    return pd.DataFrame({"mean": missed.mean(), "worst": missed.max()})


def ranks(fit: LawFit, fitted: pd.DataFrame, others: pd.DataFrame, recall: float = 0.99) -> pd.DataFrame:
    """Return the rank that recalls each text, measured and predicted: a row per text and length.

    Columns: `data.random_ratio`, `target_tokens`, `bits`, `fails` and `recalls` (the largest rank that does not recall
    it and the smallest that does; NaN: none), `by bits` and `by tokens`.

    Args:
        fit, fitted, others: as in `predictions`.
        recall: share of tokens with p > 0.5 that counts as recalled.
    """
    base_loss, rows = _base_loss(fitted), []
    goal = Link.of(fitted).needed(recall) * base_loss
    for (ratio, length), cells in others.groupby(["data.random_ratio", "target_tokens"]):
        bits = bits_in(length, _base_loss(cells))
        recalled = cells["recalled_share"] >= recall
        rows.append(
            {
                "data.random_ratio": ratio,
                "target_tokens": length,
                "bits": bits,
                "fails": cells.loc[~recalled, "lora.rank"].max(),
                "recalls": cells.loc[recalled, "lora.rank"].min(),
                "by bits": rank_needed(fit.predict, tokens_worth(bits, base_loss), goal, base_loss),
                "by tokens": rank_needed(fit.predict, length, goal, base_loss),
            }
        )
    return pd.DataFrame(rows)


def _worth(cell: pd.Series, base_loss: float) -> float:
    return tokens_worth(bits_in(cell["target_tokens"], cell["base_loss_nats"]), base_loss)


def _base_loss(cells: pd.DataFrame) -> float:
    return float(cells["base_loss_nats"].mean())
