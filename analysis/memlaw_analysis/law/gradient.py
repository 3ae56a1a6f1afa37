"""Derivatives of a quantity of a law by the law's parameters."""

from collections.abc import Callable

import numpy as np
from scipy.differentiate import jacobian

from memlaw_analysis.law.fit import LawFit
from memlaw_analysis.law.forms import Predict

STEP = 0.01
"""Largest step of the finite differences, as a share of the parameter."""

SMALLEST_PARAMETER = 1e-3
"""A parameter nearer to 0 than this is stepped as if it were this large."""


def gradient(fit: LawFit, quantity: Callable[[Predict], np.ndarray | float]) -> np.ndarray:
    """Differentiate a quantity numerically by the varied parameters of a fit, at their values.

    Args:
        fit: the fit, with P varied parameters.
        quantity: law with its parameters → a number or an array [K].

    Returns:
        [P] for a number, [K, P] for an array; NaN where the quantity is not a finite number nearby.
    """
    names = fit.result.var_names
    values = np.array([fit.values[name] for name in names])

    def at(varied: np.ndarray) -> np.ndarray:
        parameters = {**fit.values, **dict(zip(names, varied.tolist(), strict=True))}
        return np.atleast_1d(quantity(lambda x: fit.form.function(x, **parameters)))

    steps = STEP * np.maximum(np.abs(values), SMALLEST_PARAMETER)
    slopes = jacobian(lambda points: np.apply_along_axis(at, 0, points), values, initial_step=steps).df
    return slopes if np.ndim(quantity(fit.predict)) else slopes[0]
