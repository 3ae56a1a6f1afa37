"""Collapse: ΔL/L0 as one monotone function of r^κ/ℓ, with no formula for it."""

from dataclasses import dataclass

import lmfit
import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from memlaw_analysis.law.enough import TooFewCells, check_varied
from memlaw_analysis.law.forms import Inputs
from memlaw_analysis.law.least_squares import TRUST_REGION, best_fit

KNOTS = 6
"""Points of the curve: one at the end, the others spread over the cells below `FLAT`."""

FLAT = 0.97
"""ΔL/L0 above which the curve is as good as flat."""

KAPPA_STARTS = (0.6, 1.0, 1.4)


@dataclass(frozen=True)
class Collapse:
    """A monotone curve through all cells.

    ln(ΔL/L0) is a monotone cubic through `KNOTS` points in u = κ·ln r − ln ℓ. To their left it continues as a straight
    line, which is a power law; to their right it is constant.

    Attributes:
        kappa: κ, comparable to the exponent ratio α/β of the law.
        u, z: the points: u, ascending, and ln(ΔL/L0) there.
    """

    kappa: float
    u: np.ndarray
    z: np.ndarray

    def share(self, r: np.ndarray, l: np.ndarray) -> np.ndarray:
        """Predict ΔL/L0 of ranks and lengths."""
        u = self.kappa * np.log(r) - np.log(l)
        curve = PchipInterpolator(self.u, self.z)
        slope = float(curve.derivative()(self.u[0]))
        inside = curve(np.clip(u, self.u[0], self.u[-1]))
        return np.exp(inside + slope * np.minimum(u - self.u[0], 0))

    def predict_cells(self, cells: pd.DataFrame) -> np.ndarray:
        """Predict ΔL of cells, nats per token."""
        x = Inputs.of(cells)
        return x.base_loss * self.share(x.r, x.l)


def fit_collapse(table: pd.DataFrame) -> Collapse:
    """Fit κ and the curve together, by least squares on ΔL of all cells of one condition.

    The curve's points follow the cells, so the residual has kinks where cells change places. A trust region steps past
    them; Levenberg–Marquardt can end in one, such as κ = 1 on a grid of powers of two.

    Raises:
        TooFewCells: fewer than two cells more than parameters, one rank or one length, or the same ΔL in all cells.
    """
    x, delta_loss = Inputs.of(table), table["delta_loss_nats"].to_numpy(float)
    if len(table) < KNOTS + 3 or len(set(x.r)) < 2 or len(set(x.l)) < 2:
        raise TooFewCells(f"{len(table)} cells; the collapse needs {KNOTS + 3} over 2 ranks and 2 lengths")
    below = delta_loss < FLAT * x.base_loss
    if below.sum() < KNOTS:
        raise TooFewCells(f"{below.sum()} cells below {FLAT:g}·L0; the collapse needs {KNOTS}")
    check_varied(delta_loss)

    def residual(parameters: lmfit.Parameters) -> np.ndarray:
        return _curve(parameters, x, below).predict_cells(table) - delta_loss

    _, result = best_fit(residual, (_start(kappa, x, delta_loss) for kappa in KAPPA_STARTS), TRUST_REGION)
    return _curve(result.params, x, below)


def _curve(parameters: lmfit.Parameters, x: Inputs, below: np.ndarray) -> Collapse:
    """The curve of parameters: κ, and the logarithm of the rise from each point to the next; it ends at 0."""
    kappa, *log_rises = parameters.valuesdict().values()
    rises = np.exp(np.clip(log_rises, -20, 5))
    at = kappa * np.log(x.r) - np.log(x.l)
    u = np.append(np.quantile(at[below], np.linspace(0, 1, KNOTS - 1)), at.max() + 0.1)
    u = np.maximum.accumulate(u) + 1e-6 * np.arange(KNOTS)  # distinct, also where many cells share one value
    return Collapse(float(kappa), u, -np.cumsum(rises[::-1])[::-1])


def _start(kappa: float, x: Inputs, delta_loss: np.ndarray) -> lmfit.Parameters:
    """A curve through cells spread evenly over u."""
    order = np.argsort(kappa * np.log(x.r) - np.log(x.l))
    share = np.clip(delta_loss / x.base_loss, 1e-3, 0.999)[order]
    z = np.maximum.accumulate(np.log(share[np.linspace(0, len(share) - 1, KNOTS).astype(int)]))
    log_rises = np.log(np.maximum(np.diff([*z, 0.0]), 1e-3))
    parameters = lmfit.Parameters()
    parameters.add("kappa", kappa)
    for index, value in enumerate(log_rises):
        parameters.add(f"log_rise_{index}", value)
    return parameters
