"""Which cells to run next: longer texts where all is saturated, and the cells that narrow an answer most."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.forms import Inputs
from analysis.law import LawFit


def longer(cells: pd.DataFrame, rule_excludes: pd.Series) -> tuple[list[float], list[float]]:
    """Ranks and lengths of cells that would be unsaturated: the ranks at hand, at lengths beyond those they hold.

    Args:
        cells: of one condition.
        rule_excludes: which of them are saturated.
    """
    ranks = np.sort(cells["lora.rank"].unique())[:4]
    longest = float(cells["target_tokens"].max())
    saturated = cells[rule_excludes]
    start = longest if saturated.empty else max(float(saturated["target_tokens"].max()), longest / 2)
    return [float(rank) for rank in ranks], [2 * start, 4 * start]


def most_informative(
    fit: LawFit, cells: pd.DataFrame, gradient: np.ndarray, count: int = 3, beyond: float = 2.0
) -> list[tuple[int, int]]:
    """The cells that narrow a quantity most, per token trained: (rank, length), greedily chosen.

    With covariance Σ of the parameters, noise σ² and the model's gradient j at a cell, running the cell lowers the
    variance gᵀΣg of a quantity with gradient g by (gᵀΣj)² / (σ² + jᵀΣj) (linear Bayesian design).

    Args:
        fit: an identified fit, whose gradient at a cell is taken numerically.
        cells: measured ones; candidates are powers of two in their range, extended by `beyond`.
        gradient: g, of the quantity by the varied parameters.
        count: how many.
        beyond: factor by which candidates may lie beyond the measured ranks and lengths.
    """
    covariance, noise = np.array(fit.result.covar, dtype=float), float(fit.result.redchi)
    base_loss = float(cells["base_loss_nats"].mean())
    ranks, lengths = (_powers(cells[name], beyond) for name in ("lora.rank", "target_tokens"))
    candidates = [(r, l) for r in ranks for l in lengths]
    slopes = np.stack(
        [numeric_gradient(fit, lambda f, c=c: float(f(Inputs.grid(c[0], c[1], base_loss)))) for c in candidates]
    )
    chosen: list[tuple[int, int]] = []
    while len(chosen) < count:
        projected = slopes @ covariance
        gain = (projected @ gradient) ** 2 / (noise + np.einsum("ij,ij->i", projected, slopes))
        best = int(np.argmax(gain / np.array([l for _, l in candidates])))
        chosen.append(candidates[best])
        j = slopes[best]
        covariance -= np.outer(covariance @ j, covariance @ j) / (noise + j @ covariance @ j)
    return sorted(set(chosen))


def _powers(values: pd.Series, beyond: float) -> list[int]:
    low, high = float(values.min()), float(values.max()) * beyond
    return [2**k for k in range(40) if low <= 2**k <= high]


def numeric_gradient(fit: LawFit, quantity: Any) -> np.ndarray:
    """Central differences of a quantity by the varied parameters.

    Args:
        fit: the fit.
        quantity: from a function (inputs → ΔL) to a number.
    """

    def at(values: Mapping[str, float]) -> float:
        return quantity(lambda x: fit.form.function(x, **values))

    slopes = []
    for name in fit.result.var_names:
        step = 1e-4 * max(abs(fit.values[name]), 1e-3)
        up, down = ({**fit.values, name: fit.values[name] + sign * step} for sign in (1, -1))
        slopes.append((at(up) - at(down)) / (2 * step))
    return np.array(slopes)
