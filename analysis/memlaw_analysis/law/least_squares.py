"""Least squares with lmfit from several starts. Every fit of the analysis goes through here."""

from collections.abc import Callable, Iterable
from typing import Any

import lmfit
import numpy as np
from lmfit.minimizer import MinimizerResult

MAX_EVALUATIONS = 1000
"""Evaluations of the residual per start. A fit that needs more does not converge at all."""

LEVENBERG_MARQUARDT: dict[str, Any] = {"method": "leastsq"}
TRUST_REGION: dict[str, Any] = {"method": "least_squares"}
HUBER: dict[str, Any] = {"method": "least_squares", "loss": "huber", "f_scale": 0.1}
"""Residuals beyond 0.1 count linearly."""

Residual = Callable[[lmfit.Parameters], np.ndarray]
"""Parameters → predicted − measured, of each cell."""


def best_fit(
    residual: Residual, starts: Iterable[lmfit.Parameters], method: dict[str, Any] = LEVENBERG_MARQUARDT
) -> tuple[lmfit.Minimizer, MinimizerResult]:
    """Minimize the sum of squared residuals from every start and keep the smallest.

    Args:
        residual: what to minimize.
        starts: parameters with their bounds and start values; at least one.
        method: arguments of `lmfit.Minimizer.minimize`.

    Returns:
        lmfit's minimizer and result of the best start. `lmfit.conf_interval` needs both.
    """
    fits = []
    for start in starts:
        minimizer = lmfit.Minimizer(residual, start, max_nfev=MAX_EVALUATIONS)
        with np.errstate(invalid="ignore", divide="ignore"):  # the square roots of variances below 0
            fits.append((minimizer, minimizer.minimize(**method)))
    return min(fits, key=lambda fit: fit[1].chisqr)
