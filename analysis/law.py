"""Fit the law, or a rival, to cells with lmfit: many starts, bounds, standard errors, and what is not identified."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import lmfit
import numpy as np
import pandas as pd

from analysis.forms import POWER, Form, Inputs
from analysis.saturation import DEFAULT, NONE, Rule

Array = np.ndarray

MIN_SPARE = 1
"""Cells beyond the number of parameters without which nothing is fitted."""

MIN_CELLS_OFFSET = 6
"""With fewer cells an offset b is held at 0: it would follow the noise."""

ROUNDING = 1e-9
"""Difference, as a share of ΔL, below which two numbers are the same but for rounding."""

MAX_EVALUATIONS = 1000
"""Of the form, by one start; a fit that has not arrived by then has nowhere to arrive."""

_CONDITION = 1e6
"""Condition number of the parameters' correlations beyond which they cannot be told apart."""


class TooFewCells(ValueError):
    """The cells cannot determine the form; the message says what is missing."""


@dataclass(frozen=True)
class LawFit:
    """A form fitted to the cells that a rule leaves.

    Attributes:
        form: the form.
        minimizer, result: lmfit's, of the best start.
        used: the cells it rests on.
        excluded: the cells that the rule left out.
        rule: the rule.
        not_identified: why the parameters mean nothing by themselves; empty when nothing speaks against them.
        cautions: what else a reader must know.
    """

    form: Form
    minimizer: lmfit.Minimizer
    result: lmfit.minimizer.MinimizerResult
    used: pd.DataFrame
    excluded: pd.DataFrame
    rule: Rule
    not_identified: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def values(self) -> dict[str, float]:
        """Value of each parameter."""
        return dict(self.result.params.valuesdict())

    def predict(self, x: Inputs) -> Array:
        """ΔL in nats per token."""
        return self.form.function(x, **self.values)

    def predict_cells(self, cells: pd.DataFrame) -> np.ndarray:
        """ΔL of cells, nats per token."""
        return self.predict(Inputs.of(cells))

    def points(self) -> pd.DataFrame:
        """Every cell, and what the law says of it: `law_nats`, and whether it is `saturated` and so left out."""
        cells = pd.concat([self.used.assign(saturated=False), self.excluded.assign(saturated=True)])
        cells["law_nats"] = self.predict_cells(cells)
        names = ["cell", "lora.rank", "target_tokens", "seed", "delta_loss_nats", "law_nats", "saturated"]
        return cells[[name for name in names if name in cells]]

    @property
    def parameters(self) -> dict[str, tuple[float, float | None]]:
        """Value and standard error of each; None for one that was held or whose error could not be had."""
        return {
            name: (p.value, float(p.stderr) if p.vary and p.stderr is not None and np.isfinite(p.stderr) else None)
            for name, p in self.result.params.items()
        }

    @property
    def exponent_ratio(self) -> float | None:
        """κ = α/β: how fast the length that a rank holds grows with it; the quantity that fits agree on.

        None for a form without them; not a number where β is 0.
        """
        if not {"alpha", "beta"} <= self.result.params.keys():
            return None
        alpha, beta = self.values["alpha"], self.values["beta"]
        return alpha / beta if beta else float("nan")

    @property
    def leaves_rounding(self) -> bool:
        """Whether it goes through every cell used, up to rounding, so that no residual says anything."""
        return is_rounding(self.predict_cells(self.used), self.used["delta_loss_nats"].to_numpy(float))

    @property
    def r_squared(self) -> float:
        """Share of the variance of ΔL explained, on the cells used."""
        return r_squared(self.used["delta_loss_nats"].to_numpy(float), self.predict_cells(self.used))

    @property
    def r_squared_log(self) -> float:
        """The same for ln ΔL; not a number where the form predicts ΔL ≤ 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return r_squared(
                np.log(self.used["delta_loss_nats"].to_numpy(float)), np.log(self.predict_cells(self.used))
            )


def is_rounding(predicted: Array, true: Array) -> bool:
    """Whether all predictions are the true ΔL but for rounding."""
    return bool((np.abs(predicted - true) <= ROUNDING * np.abs(true).max()).all())


def r_squared(true: Array, predicted: Array) -> float:
    """Share of the variance of `true` that `predicted` explains; not a number where `true` does not vary."""
    varies = float(((true - true.mean()) ** 2).sum())
    return float(1 - ((true - predicted) ** 2).sum() / varies) if varies else float("nan")


def fit_law(
    table: pd.DataFrame,
    form: Form = POWER,
    rule: Rule | None = None,
    loss: str = "linear",
    like: "LawFit | None" = None,
) -> LawFit:
    """Fit a form to the cells of one condition, from every combination of its starts; the best wins.

    |b| is bounded by the largest L0, for ΔL lies between 0 and L0.

    Args:
        table: columns `lora.rank`, `target_tokens`, `delta_loss_nats`, `base_loss_nats`; cells that are usable
            (`analysis.usable`), once or, drawn again, several times.
        form: what to fit.
        rule: which cells to leave out; `analysis.saturation.DEFAULT`, and none for a saturating form.
        loss: `linear` for least squares, `huber` for residuals beyond 0.1 nats to count linearly.
        like: a fit to start from, and to hold b like, in place of all starts: for cells resampled from its own.

    Raises:
        TooFewCells: fewer grid points than parameters and one, fewer than two ranks or lengths among them, or the same
            ΔL in all of them.
    """
    rule = rule or (NONE if form.saturates else DEFAULT)
    out = rule.excludes(table)
    used, excluded = table[~out], table[out]
    x, delta_loss = Inputs.of(used), used["delta_loss_nats"].to_numpy(float)
    if like:
        hold_offset = "b" in form.bounds and "b" not in like.result.var_names
    else:
        hold_offset = "b" in form.bounds and distinct_points(used) < MIN_CELLS_OFFSET
    _check_enough(used, excluded, len(form.bounds) - hold_offset)
    check_varied(delta_loss)
    params = _parameters(form, float(table["base_loss_nats"].max()), hold_offset)

    def residual(params: lmfit.Parameters) -> Array:
        return form.function(x, **params.valuesdict()) - delta_loss

    fits = []
    for start in [like.values] if like else _starts(form, x, delta_loss):
        for name, value in start.items():
            if params[name].vary:
                params[name].set(value=value)
        minimizer = lmfit.Minimizer(residual, params, max_nfev=MAX_EVALUATIONS)
        with np.errstate(invalid="ignore", divide="ignore"):  # variances ≤ 0 make standard errors that are none
            fits.append((minimizer, minimizer.minimize(**_METHODS[loss])))
    minimizer, best = min(fits, key=lambda found: found[1].chisqr)
    return LawFit(form, minimizer, best, used, excluded, rule, _not_identified(best), _cautions(best, len(used)))


_METHODS: dict[str, dict[str, Any]] = {
    "linear": {"method": "leastsq"},
    "huber": {"method": "least_squares", "loss": "huber", "f_scale": 0.1},
}


def _parameters(form: Form, largest_base_loss: float, hold_offset: bool) -> lmfit.Parameters:
    params = lmfit.Parameters()
    for name, (low, high) in form.bounds.items():
        unit = largest_base_loss if name == "b" else 1.0
        params.add(name, 0.0, min=low * unit, max=high * unit, vary=not (name == "b" and hold_offset))
    return params


def _starts(form: Form, x: Inputs, delta_loss: Array) -> Iterator[dict[str, float]]:
    for values in itertools.product(*form.starts.values()):
        start = dict(zip(form.starts, values, strict=True))
        yield {**start, form.scale: _scale(form, start, x, delta_loss)}


def _scale(form: Form, start: Mapping[str, float], x: Inputs, delta_loss: Array) -> float:
    """The start of the scale: what brings the form, unsaturated, to the middle of the data."""
    if form.scale == "a":
        return float(np.median(delta_loss - form.function(x, **{**start, "a": 0.0})))
    size = x.parameters if form.size == "trainable_parameters" else x.r
    assert size is not None
    return float(np.median(delta_loss / (size ** start["alpha"] * x.l ** -start["beta"])))


def grid_point(cells: pd.DataFrame) -> list[str]:
    """The columns in which cells that are not repetitions of each other differ: seeds alone are repetitions."""
    return [name for name in ("model.name", "lora.rank", "target_tokens") if name in cells]


def distinct_points(cells: pd.DataFrame) -> int:
    """How many grid points cells lie on."""
    return len(cells[grid_point(cells)].drop_duplicates())


def _check_enough(used: pd.DataFrame, excluded: pd.DataFrame, parameters: int) -> None:
    ranks, lengths = used["lora.rank"].nunique(), used["target_tokens"].nunique()
    points, needed = distinct_points(used), parameters + MIN_SPARE
    if points < needed or ranks < 2 or lengths < 2:
        raise TooFewCells(
            f"{points} unsaturated cells over {ranks} ranks and {lengths} lengths ({len(excluded)} saturated "
            f"ones left out); {parameters} parameters need at least {needed} over 2 ranks and 2 lengths. "
            "Add longer lengths or smaller ranks."
        )


def check_varied(delta_loss: Array) -> None:
    """Refuse cells that all have the same ΔL, nats per token; any curve without a slope fits them.

    Raises:
        TooFewCells: they do.
    """
    if np.ptp(delta_loss) <= ROUNDING * delta_loss.max():
        raise TooFewCells(
            f"ΔL is the same {delta_loss.max():.3g} nats in all of {len(delta_loss)} cells: it depends on "
            "neither rank nor length, so there is no law to fit."
        )


def _not_identified(result: lmfit.minimizer.MinimizerResult) -> tuple[str, ...]:
    found = [] if result.success else [f"the fit did not converge within {MAX_EVALUATIONS} evaluations"]
    for name, p in result.params.items():
        if p.vary and any(
            np.isfinite(edge) and np.isclose(p.value, edge, rtol=1e-3, atol=1e-9) for edge in (p.min, p.max)
        ):
            found.append(f"{name} ran to its bound {p.value:.3g}")
    variances = np.diag(result.covar) if getattr(result, "covar", None) is not None else np.array([np.nan])
    if not (np.isfinite(variances) & (variances > 0)).all():
        return (*found, "no standard errors could be estimated")
    scale = np.sqrt(variances)
    condition = float(np.linalg.cond(result.covar / np.outer(scale, scale)))
    if condition > _CONDITION:
        found.append(f"its parameters cannot be told apart (condition number {condition:.0e})")
    for name in ("alpha", "beta"):
        p = result.params.get(name)
        if p is not None and p.stderr is not None and p.stderr > 0.5 * abs(p.value):
            found.append(f"{name} is uncertain by more than half of itself")
    return tuple(found)


def _cautions(result: lmfit.minimizer.MinimizerResult, cells: int) -> tuple[str, ...]:
    found = []
    if "b" in result.params and not result.params["b"].vary:
        found.append(f"b is held at 0: {cells} cells are too few to tell an offset")
    if cells - result.nvarys < 3:
        found.append(f"{cells - result.nvarys} degree(s) of freedom: R² and the errors say little")
    return tuple(found)


def gradient(fit: LawFit, quantity: Callable[[Callable[[Inputs], Array]], Array | float]) -> Array:
    """Central differences of a quantity by the varied parameters, in the last axis.

    Args:
        fit: the fit.
        quantity: from a law with its parameters (inputs → ΔL) to a number or an array.
    """

    def at(values: Mapping[str, float]) -> Array:
        return np.asarray(quantity(lambda x: fit.form.function(x, **values)))

    slopes = []
    for name in fit.result.var_names:
        step = 1e-4 * max(abs(fit.values[name]), 1e-3)
        up, down = ({**fit.values, name: fit.values[name] + sign * step} for sign in (1, -1))
        slopes.append((at(up) - at(down)) / (2 * step))
    return np.stack(slopes, axis=-1)
