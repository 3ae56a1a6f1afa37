"""Which cells to run next: longer texts where all are saturated, or those that narrow an answer most."""

import numpy as np
import pandas as pd

from memlaw_analysis.law.fit import LawFit
from memlaw_analysis.law.forms import Inputs
from memlaw_analysis.law.gradient import gradient


def longer(cells: pd.DataFrame, rule_excludes: pd.Series) -> tuple[list[float], list[float]]:
    """Choose ranks and lengths of cells that would be unsaturated: measured ranks, at lengths beyond what they hold.

    Args:
        cells: cells of one condition.
        rule_excludes: which of them are saturated.
    """
    ranks = [float(rank) for rank in np.sort(cells["lora.rank"].unique())[:4]]
    longest = float(cells["target_tokens"].max())
    saturated = cells[rule_excludes]
    start = longest if saturated.empty else max(float(saturated["target_tokens"].max()), longest / 2)
    return ranks if len(ranks) > 1 else [*ranks, 2 * ranks[0]], [2 * start, 4 * start]


def most_informative(
    fit: LawFit, cells: pd.DataFrame, wanted: np.ndarray, count: int = 3, beyond: float = 2.0
) -> list[tuple[int, int]]:
    """Choose the cells that narrow a quantity most, per token trained, one after another: (rank, length).

    With covariance Σ of the parameters, noise σ² and the model's gradient j at a cell, running the cell lowers the
    variance gᵀΣg of a quantity with gradient g by (gᵀΣj)² / (σ² + jᵀΣj) (linear Bayesian design).

    Args:
        fit: an identified fit.
        cells: measured ones; candidates are powers of two in their range, extended by `beyond`, not yet measured.
        wanted: g, the gradient of the quantity by the varied parameters.
        count: how many to choose.
        beyond: how far candidates may exceed the largest measured rank and length, as a factor.
    """
    covariance, noise = np.array(fit.result.covar, dtype=float), float(fit.result.redchi)
    base_loss = float(cells["base_loss_nats"].mean())
    ranks, lengths = (_powers(cells[name], beyond) for name in ("lora.rank", "target_tokens"))
    trained = set(zip(cells["lora.rank"], cells["target_tokens"], strict=True))
    candidates = [(r, l) for r in ranks for l in lengths if (r, l) not in trained]
    if not candidates:
        return []
    r, l = np.array(candidates, dtype=float).T
    slopes = gradient(fit, lambda predict: predict(Inputs.grid(r, l, base_loss)))
    chosen: list[tuple[int, int]] = []
    while len(chosen) < count:
        projected = slopes @ covariance
        gain = (projected @ wanted) ** 2 / (noise + np.einsum("ij,ij->i", projected, slopes))
        best = int(np.argmax(gain / np.array([l for _, l in candidates])))
        chosen.append(candidates[best])
        j = slopes[best]
        covariance -= np.outer(covariance @ j, covariance @ j) / (noise + j @ covariance @ j)
    return sorted(set(chosen))


def _powers(values: pd.Series, beyond: float) -> list[int]:
    low, high = float(values.min()), float(values.max()) * beyond
    return [2**k for k in range(40) if low <= 2**k <= high]
