"""Fit the law, or a rival, to cells with lmfit: many starts, bounds, standard errors, and what is not identified."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import lmfit
import numpy as np
import pandas as pd

from analysis.forms import POWER, Form
from analysis.saturation import DEFAULT, NONE, Rule

Array = np.ndarray

MIN_SPARE = 1
"""Cells beyond the number of parameters without which nothing is fitted."""

MIN_CELLS_OFFSET = 6
"""With fewer cells an offset b is held at 0: it would follow the noise."""

_CONDITION = 1e6
"""Condition number of the parameters' correlations beyond which they cannot be told apart."""


class TooFewCells(ValueError):
    """The cells cannot determine the form; the message says what is missing."""


@dataclass(frozen=True)
class LawFit:
    """A form fitted to the cells that a rule leaves.

    Attributes:
        form: the form.
        result: lmfit's result.
        used: the cells it rests on.
        excluded: the cells that the rule left out.
        rule: the rule.
        not_identified: why the parameters mean nothing by themselves; empty when nothing speaks against them.
        cautions: what else a reader must know.
    """

    form: Form
    result: lmfit.model.ModelResult
    used: pd.DataFrame
    excluded: pd.DataFrame
    rule: Rule
    not_identified: tuple[str, ...]
    cautions: tuple[str, ...]

    def predict(self, r: Array | float, l: Array | float, base_loss: Array | float) -> Array:
        """ΔL in nats per token."""
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=float) for value in (r, l, base_loss)))
        return self.form.function(*arrays, **self.result.best_values)

    def predict_cells(self, cells: pd.DataFrame) -> np.ndarray:
        """ΔL of cells, nats per token."""
        return self.predict(*inputs(cells))

    @property
    def parameters(self) -> dict[str, tuple[float, float | None]]:
        """Value and standard error of each; None for one that was held or whose error could not be had."""
        return {
            name: (p.value, float(p.stderr) if p.vary and p.stderr is not None and np.isfinite(p.stderr) else None)
            for name, p in self.result.params.items()
        }

    @property
    def exponent_ratio(self) -> float | None:
        """κ = α/β: how fast the length that a rank holds grows with it; the quantity that fits agree on."""
        if not {"alpha", "beta"} <= self.result.params.keys():
            return None
        return self.result.params["alpha"].value / self.result.params["beta"].value

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


def inputs(cells: pd.DataFrame) -> tuple[Array, Array, Array]:
    """r, ℓ and L0 of cells."""
    r, l, base_loss = (cells[name].to_numpy(float) for name in ("lora.rank", "target_tokens", "base_loss_nats"))
    return r, l, base_loss


def r_squared(true: Array, predicted: Array) -> float:
    """Share of the variance of `true` that `predicted` explains."""
    return float(1 - ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum())


def fit_law(
    table: pd.DataFrame,
    form: Form = POWER,
    rule: Rule | None = None,
    loss: str = "linear",
    start: Mapping[str, float] | None = None,
) -> LawFit:
    """Fit a form to the cells of one condition, from every combination of its starts; the best wins.

    |b| is bounded by the largest L0, for ΔL lies between 0 and L0.

    Args:
        table: columns `lora.rank`, `target_tokens`, `delta_loss_nats`, `base_loss_nats`.
        form: what to fit.
        rule: which cells to leave out; `analysis.saturation.DEFAULT`, and none for a saturating form.
        loss: `linear` for least squares, `huber` for residuals beyond 0.1 nats to count linearly.
        start: the only start to try, such as the fit that resampled cells are near to.

    Raises:
        TooFewCells: fewer cells than parameters and one, or fewer than two ranks or lengths among them.
    """
    rule = rule or (NONE if form.saturates else DEFAULT)
    out = rule.excludes(table)
    used, excluded = table[~out], table[out]
    r, l, base_loss = inputs(used)
    delta_loss = used["delta_loss_nats"].to_numpy(float)
    bound = float(table["base_loss_nats"].max())
    hold_offset = "b" in form.bounds and len(used) < MIN_CELLS_OFFSET
    _check_enough(used, excluded, len(form.bounds) - hold_offset)
    model = lmfit.Model(form.function, independent_vars=["r", "l", "base_loss"], param_names=list(form.bounds))
    fits = []
    for one in [start] if start else _starts(form, r, l, base_loss, delta_loss):
        params = lmfit.Parameters()
        for name, (low, high) in form.bounds.items():
            unit = bound if name == "b" else 1.0
            params.add(name, one[name], min=low * unit, max=high * unit, vary=not (name == "b" and hold_offset))
        keywords = {"loss": "huber", "f_scale": 0.1} if loss == "huber" else {}
        method = "least_squares" if loss == "huber" else "leastsq"
        fits.append(
            model.fit(delta_loss, params, r=r, l=l, base_loss=base_loss, method=method, fit_kws=keywords or None)
        )
    best = min(fits, key=lambda result: result.chisqr)
    return LawFit(form, best, used, excluded, rule, _not_identified(best), _cautions(best, len(used)))


def _starts(form: Form, r: Array, l: Array, base_loss: Array, delta_loss: Array) -> Iterator[dict[str, float]]:
    for values in itertools.product(*form.starts.values()):
        start = dict(zip(form.starts, values, strict=True))
        yield {**start, form.scale: _scale(form, start, r, l, base_loss, delta_loss)}


def _scale(form: Form, start: Mapping[str, float], r: Array, l: Array, base_loss: Array, delta_loss: Array) -> float:
    """The start of the scale: what brings the form to the middle of the data."""
    if form.scale == "a":
        return float(np.median(delta_loss - form.function(r, l, base_loss, **{**start, "a": 0.0})))
    plain = r ** start["alpha"] * l ** -start["beta"]
    return float(np.median(delta_loss / plain))


def _check_enough(used: pd.DataFrame, excluded: pd.DataFrame, parameters: int) -> None:
    ranks, lengths = used["lora.rank"].nunique(), used["target_tokens"].nunique()
    needed = parameters + MIN_SPARE
    if len(used) < needed or ranks < 2 or lengths < 2:
        raise TooFewCells(
            f"{len(used)} unsaturated cells over {ranks} ranks and {lengths} lengths ({len(excluded)} saturated "
            f"ones left out); {parameters} parameters need at least {needed} over 2 ranks and 2 lengths. "
            "Add longer lengths or smaller ranks."
        )


def _not_identified(result: lmfit.model.ModelResult) -> tuple[str, ...]:
    found = []
    for name, p in result.params.items():
        if p.vary and any(
            np.isfinite(edge) and np.isclose(p.value, edge, rtol=1e-3, atol=1e-9) for edge in (p.min, p.max)
        ):
            found.append(f"{name} ran to its bound {p.value:.3g}")
    errors = [p.stderr for p in result.params.values() if p.vary]
    if any(error is None or not np.isfinite(error) for error in errors):
        found.append("no standard errors could be estimated")
    else:
        scale = np.sqrt(np.diag(result.covar))
        condition = float(np.linalg.cond(result.covar / np.outer(scale, scale)))
        if condition > _CONDITION:
            found.append(f"its parameters cannot be told apart (condition number {condition:.0e})")
    return tuple(found)


def _cautions(result: lmfit.model.ModelResult, cells: int) -> tuple[str, ...]:
    found = []
    for name in ("alpha", "beta"):
        p = result.params.get(name)
        if p is not None and p.stderr is not None and p.stderr > 0.5 * abs(p.value):
            found.append(f"{name} is uncertain by more than half of itself")
    if "b" in result.params and not result.params["b"].vary:
        found.append(f"b is held at 0: {cells} cells are too few to tell an offset")
    if cells - result.nvarys < 3:
        found.append(f"{cells - result.nvarys} degree(s) of freedom: R² and the errors say little")
    return tuple(found)
