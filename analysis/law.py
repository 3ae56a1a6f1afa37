"""The Parametric Memory Law, ΔL(r, ℓ) = C · r^α · ℓ^(−β) + b, fitted with lmfit (paper, eq. 3)."""

from dataclasses import dataclass

import lmfit
import numpy as np
import pandas as pd

SATURATION = 0.85
"""A cell with ΔL ≥ this share of L0 is saturated: ΔL cannot exceed L0, so it carries no information on C, α, β."""

MIN_CELLS = 4
"""Three parameters, and one cell more for a first idea of the residual."""

MIN_CELLS_OFFSET = 6
"""With fewer cells b is held at 0: four parameters would follow the noise."""

_STARTS_ALPHA = (0.2, 0.6, 1.0)
_STARTS_BETA = (0.2, 0.6, 1.0)


def memory_law(r: np.ndarray, l: np.ndarray, C: float, alpha: float, beta: float, b: float) -> np.ndarray:
    """ΔL in nats per token, of rank `r` and length `l` in tokens."""
    return C * r**alpha * l ** (-beta) + b


def is_saturated(table: pd.DataFrame) -> pd.Series:
    """Whether ΔL is at least `SATURATION` of L0, per cell."""
    return table["delta_loss_nats"] >= SATURATION * table["base_loss_nats"]


class TooFewCells(ValueError):
    """The unsaturated cells cannot determine the law; the message says what is missing."""


@dataclass(frozen=True)
class LawFit:
    """A least-squares fit of the law to unsaturated cells.

    Attributes:
        result: lmfit's result; parameters C, alpha, beta, b with standard errors.
        cells: how many cells it used.
        excluded: how many saturated cells it left out.
        r_squared: share of the variance of ΔL explained, on the cells used.
        warnings: why the parameters should not be trusted; empty when nothing speaks against them.
    """

    result: lmfit.model.ModelResult
    cells: int
    excluded: int
    r_squared: float
    warnings: tuple[str, ...]

    def predict(self, r: np.ndarray, l: np.ndarray) -> np.ndarray:
        """ΔL in nats per token."""
        return self.result.eval(r=np.asarray(r, dtype=float), l=np.asarray(l, dtype=float))

    def parameters(self) -> dict[str, tuple[float, float | None]]:
        """Value and standard error of each parameter."""
        return _parameters(self.result)


def fit_law(table: pd.DataFrame) -> LawFit:
    """Fit the law to the unsaturated cells of one condition.

    From several starts, the best; |b| is bounded by the largest L0, for ΔL lies between 0 and L0, and held at 0
    with fewer than `MIN_CELLS_OFFSET` cells.

    Args:
        table: columns `lora.rank`, `target_tokens`, `delta_loss_nats`, `base_loss_nats`.

    Raises:
        TooFewCells: fewer than `MIN_CELLS` unsaturated cells, or fewer than two ranks or lengths among them.
    """
    used = table[~is_saturated(table)]
    r = used["lora.rank"].to_numpy(float)
    l = used["target_tokens"].to_numpy(float)
    delta_loss = used["delta_loss_nats"].to_numpy(float)
    excluded = len(table) - len(used)
    _check_enough(used, excluded)
    bound = float(table["base_loss_nats"].max())
    model = lmfit.Model(memory_law, independent_vars=["r", "l"])
    fits = []
    for alpha in _STARTS_ALPHA:
        for beta in _STARTS_BETA:
            scale = float(np.median(delta_loss / (r**alpha * l**-beta)))
            params = model.make_params(
                C={"value": scale, "min": 0},
                alpha={"value": alpha, "min": 0, "max": 5},
                beta={"value": beta, "min": 0, "max": 5},
                b={"value": 0.0, "min": -bound, "max": bound, "vary": len(used) >= MIN_CELLS_OFFSET},
            )
            fits.append(model.fit(delta_loss, params, r=r, l=l, nan_policy="raise"))
    best = min(fits, key=lambda fit: fit.chisqr)
    spread = float(((delta_loss - delta_loss.mean()) ** 2).sum())
    return LawFit(best, len(used), excluded, 1 - best.chisqr / spread, _warnings(best, len(used)))


def _check_enough(used: pd.DataFrame, excluded: int) -> None:
    ranks, lengths = used["lora.rank"].nunique(), used["target_tokens"].nunique()
    if len(used) >= MIN_CELLS and ranks >= 2 and lengths >= 2:
        return
    raise TooFewCells(
        f"{len(used)} unsaturated cells over {ranks} ranks and {lengths} lengths ({excluded} saturated ones "
        f"left out); the law needs at least {MIN_CELLS} over 2 ranks and 2 lengths. "
        "Add longer lengths or smaller ranks."
    )


def _parameters(fit: lmfit.model.ModelResult) -> dict[str, tuple[float, float | None]]:
    """Value and standard error; None for a parameter that was held or whose error could not be had."""
    known = {name: p.vary and p.stderr is not None and np.isfinite(p.stderr) for name, p in fit.params.items()}
    return {name: (p.value, p.stderr if known[name] else None) for name, p in fit.params.items()}


def _warnings(fit: lmfit.model.ModelResult, cells: int) -> tuple[str, ...]:
    found = []
    parameters = _parameters(fit)
    if not fit.success or any(parameters[name][1] is None for name in fit.var_names):
        found.append("no standard errors could be estimated: the cells do not determine the parameters")
    for name, parameter in fit.params.items():
        if any(np.isclose(parameter.value, edge, rtol=1e-3) for edge in (parameter.min, parameter.max)):
            found.append(f"{name} ran to its bound {parameter.value:.3g}: the law is not identified by these cells")
    for name in ("alpha", "beta"):
        value, stderr = parameters[name]
        if stderr is not None and stderr > 0.5 * abs(value):
            found.append(f"{name} is uncertain by more than half of itself")
    if not fit.params["b"].vary:
        found.append(f"b is held at 0: {cells} cells are too few to tell an offset")
    if cells - fit.nvarys < 3:
        found.append(f"{cells - fit.nvarys} degree(s) of freedom: R² and the errors say little")
    return tuple(found)
