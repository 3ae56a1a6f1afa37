"""Collapse: ΔL/L0 as one monotone function of r^κ/ℓ, with no formula for it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator
from scipy.optimize import least_squares

from analysis.forms import Inputs
from analysis.law import TooFewCells, check_varied

KNOTS = 6
"""Of the curve: one at the end, the others spread over the cells below `FLAT`."""

FLAT = 0.97
"""ΔL/L0 from which on the curve is as good as flat."""

MAX_EVALUATIONS = 50
_KAPPAS = (0.6, 1.0, 1.4)


@dataclass(frozen=True)
class Collapse:
    """A monotone curve through all cells.

    ln(ΔL/L0) is a monotone cubic through `KNOTS` points in u = κ·ln r − ln ℓ; to the left of them it goes on
    straight, which is a power law, and to the right it stays.

    Attributes:
        kappa: κ, the exponent ratio α/β of the laws that it contains.
        u, z: the points.
    """

    kappa: float
    u: np.ndarray
    z: np.ndarray

    def share(self, r: np.ndarray, l: np.ndarray) -> np.ndarray:
        """ΔL/L0."""
        u = self.kappa * np.log(r) - np.log(l)
        curve = PchipInterpolator(self.u, self.z)
        slope = float(curve.derivative()(self.u[0]))
        inside = curve(np.clip(u, self.u[0], self.u[-1]))
        return np.exp(inside + slope * np.minimum(u - self.u[0], 0))

    def predict_cells(self, cells: pd.DataFrame) -> np.ndarray:
        """ΔL of cells, nats per token."""
        x = Inputs.of(cells)
        return x.base_loss * self.share(x.r, x.l)


def fit_collapse(table: pd.DataFrame) -> Collapse:
    """Least squares on ΔL of all cells of one condition, κ and the curve together.

    Raises:
        TooFewCells: fewer than two cells more than parameters, one rank or one length, or the same ΔL in all cells.
    """
    x = Inputs.of(table)
    r, l, base_loss = x.r, x.l, x.base_loss
    if len(table) < KNOTS + 3 or len(set(r)) < 2 or len(set(l)) < 2:
        raise TooFewCells(f"{len(table)} cells; the collapse needs {KNOTS + 3} over 2 ranks and 2 lengths")
    delta_loss = table["delta_loss_nats"].to_numpy(float)
    telling = delta_loss < FLAT * base_loss
    if telling.sum() < KNOTS:
        raise TooFewCells(f"{telling.sum()} cells below {FLAT:g}·L0; the collapse needs {KNOTS}")
    check_varied(delta_loss)

    def curve(parameters: np.ndarray) -> Collapse:
        kappa, steps = parameters[0], np.exp(np.clip(parameters[1:], -20, 5))
        at = kappa * np.log(r) - np.log(l)
        u = np.append(np.quantile(at[telling], np.linspace(0, 1, KNOTS - 1)), at.max() + 0.1)
        u = np.maximum.accumulate(u) + 1e-6 * np.arange(KNOTS)  # distinct, also where many cells share one value
        return Collapse(float(kappa), u, -np.cumsum(steps[::-1])[::-1])

    def residual(parameters: np.ndarray) -> np.ndarray:
        return curve(parameters).predict_cells(table) - delta_loss

    def start(kappa: float) -> np.ndarray:
        order = np.argsort(kappa * np.log(r) - np.log(l))
        share = np.clip(delta_loss / base_loss, 1e-3, 0.999)[order]
        z = np.maximum.accumulate(np.log(share[np.linspace(0, len(share) - 1, KNOTS).astype(int)]))
        return np.concatenate([[kappa], np.log(np.maximum(np.diff([*z, 0.0]), 1e-3))])

    fits = [least_squares(residual, start(kappa), max_nfev=MAX_EVALUATIONS) for kappa in _KAPPAS]
    return curve(min(fits, key=lambda found: found.cost).x)
