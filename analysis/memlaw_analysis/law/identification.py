"""Whether a fit determines its parameters, and what limits their meaning."""

import numpy as np
from lmfit.minimizer import MinimizerResult

from memlaw_analysis.law.least_squares import MAX_EVALUATIONS

LARGEST_CONDITION = 1e6
"""Condition number of the parameters' correlations above which they cannot be told apart."""


def identification_problems(result: MinimizerResult) -> tuple[str, ...]:
    """List why the parameters mean nothing by themselves; empty where they are identified."""
    problems = [] if result.success else [f"the fit did not converge within {MAX_EVALUATIONS} evaluations"]
    for name, parameter in result.params.items():
        edges = [edge for edge in (parameter.min, parameter.max) if np.isfinite(edge)]
        if parameter.vary and any(np.isclose(parameter.value, edge, rtol=1e-3, atol=1e-9) for edge in edges):
            problems.append(f"{name} ran to its bound {parameter.value:.3g}")
    covariance = getattr(result, "covar", None)
    variances = np.array([np.nan]) if covariance is None else np.diag(covariance)
    if not (np.isfinite(variances) & (variances > 0)).all():
        return (*problems, "no standard errors could be estimated")
    scale = np.sqrt(variances)
    condition = float(np.linalg.cond(covariance / np.outer(scale, scale)))
    if condition > LARGEST_CONDITION:
        problems.append(f"its parameters cannot be told apart (condition number {condition:.0e})")
    for name in ("alpha", "beta"):
        exponent = result.params.get(name)
        if exponent is not None and exponent.stderr is not None and exponent.stderr > 0.5 * abs(exponent.value):
            problems.append(f"{name} is uncertain by more than half of itself")
    return tuple(problems)


def fit_cautions(result: MinimizerResult, cells: int) -> tuple[str, ...]:
    """List what else a reader of a fit to so many cells must know."""
    cautions = []
    if "b" in result.params and not result.params["b"].vary:
        cautions.append(f"b is held at 0: {cells} cells are too few to determine an offset")
    if cells - result.nvarys < 3:
        cautions.append(f"{cells - result.nvarys} degree(s) of freedom, so R² and the standard errors say little")
    return tuple(cautions)
