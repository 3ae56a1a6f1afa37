"""Fit the law, or a rival form, to cells: many starts, bounds, standard errors, and what is not identified."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import lmfit
import numpy as np
import pandas as pd

from memlaw_analysis.law.enough import ROUNDING, check_enough, check_varied, distinct_points
from memlaw_analysis.law.forms import POWER, Form, Inputs
from memlaw_analysis.law.identification import fit_cautions, identification_problems
from memlaw_analysis.law.least_squares import HUBER, LEVENBERG_MARQUARDT, best_fit
from memlaw_analysis.law.saturation import DEFAULT, NONE, Rule

MIN_CELLS_OFFSET = 6
"""With fewer grid points the offset b is held at 0, because it would follow the noise."""

LOSSES = {"linear": LEVENBERG_MARQUARDT, "huber": HUBER}
"""How residuals count → the method that minimizes them."""


@dataclass(frozen=True, repr=False)
class LawFit:
    """A form fitted to the cells that a rule leaves.

    Attributes:
        form: the form.
        minimizer, result: lmfit's, of the best start.
        used: the cells fitted.
        excluded: the cells that the rule left out.
        rule: the rule.
        not_identified: why the parameters mean nothing by themselves; empty where they are identified.
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

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value:.3g}" for name, value in self.values.items())
        doubt = ", not identified" if self.not_identified else ""
        quality = f"R²={self.r_squared:.4f}, mean error {self.mean_relative_error:.1%}"
        return f"LawFit({self.form.name}: {values}; {len(self.used)} cells, {quality}{doubt})"

    @property
    def summary(self) -> str:
        """The fit as text: a line per parameter, its quality, and what limits it."""
        rows = [
            f"  {name:8} {value:.4g}" + ("" if stderr is None else f" ± {stderr:.2g}")
            for name, (value, stderr) in self.parameters.items()
        ]
        if self.exponent_ratio is not None:
            rows.append(f"  {'α/β':8} {self.exponent_ratio:.4g}")
        return "\n".join(
            [
                f"ΔL = {self.form.formula}, {len(self.used)} cells; {len(self.excluded)} left out ({self.rule})",
                *rows,
                f"  R² = {self.r_squared:.4f} on ΔL, mean error {self.mean_relative_error:.1%} of ΔL",
                *(f"  not identified: {problem}" for problem in self.not_identified),
                *(f"  caution: {caution}" for caution in self.cautions),
            ]
        )

    @property
    def values(self) -> dict[str, float]:
        """Value of each parameter."""
        return dict(self.result.params.valuesdict())

    @property
    def parameters(self) -> dict[str, tuple[float, float | None]]:
        """Value and standard error of each parameter; the error is None where it was held or none was estimated."""
        return {
            name: (p.value, float(p.stderr) if p.vary and p.stderr is not None and np.isfinite(p.stderr) else None)
            for name, p in self.result.params.items()
        }

    @property
    def exponent_ratio(self) -> float | None:
        """κ = α/β, on which fits agree best: a rank r holds a length that grows like r^κ.

        None for a form without exponents; NaN where β is 0. A form with α and without β has β = 1.
        """
        if "alpha" not in self.result.params:
            return None
        alpha, beta = self.values["alpha"], self.values.get("beta", 1.0)
        return alpha / beta if beta else float("nan")

    @property
    def leaves_rounding(self) -> bool:
        """Whether the residuals are rounding alone, so that they say nothing."""
        true = self._true()
        return bool((np.abs(self.predict_cells(self.used) - true) <= ROUNDING * np.abs(true).max()).all())

    @property
    def r_squared(self) -> float:
        """Share of the variance of ΔL explained, on the cells used."""
        return r_squared(self._true(), self.predict_cells(self.used))

    @property
    def r_squared_log(self) -> float:
        """Share of the variance of ln ΔL explained; NaN where the form predicts ΔL ≤ 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return r_squared(np.log(self._true()), np.log(self.predict_cells(self.used)))

    @property
    def mean_relative_error(self) -> float:
        """Mean of |predicted/true − 1| of ΔL on the cells used, a share (MAPE)."""
        return relative_error(self._true(), self.predict_cells(self.used))

    def predict(self, x: Inputs) -> np.ndarray:
        """Predict ΔL, nats per token."""
        return self.form.function(x, **self.values)

    def predict_cells(self, cells: pd.DataFrame) -> np.ndarray:
        """Predict ΔL of cells, nats per token."""
        return self.predict(Inputs.of(cells))

    def _true(self) -> np.ndarray:
        return self.used["delta_loss_nats"].to_numpy(float)


def r_squared(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the share of the variance of `true` that `predicted` explains; NaN where `true` does not vary."""
    variation = float(((true - true.mean()) ** 2).sum())
    return float(1 - ((true - predicted) ** 2).sum() / variation) if variation else float("nan")


def relative_error(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean of |predicted/true − 1|, a share (MAPE)."""
    return float(np.abs(predicted / true - 1).mean())


def default_rule(form: Form) -> Rule:
    """Return the saturation rule of a form: none where the form saturates by itself."""
    return NONE if form.saturates else DEFAULT


def fit_law(
    table: pd.DataFrame,
    form: Form = POWER,
    rule: Rule | None = None,
    loss: str = "linear",
    like: LawFit | None = None,
) -> LawFit:
    """Fit a form to the cells of one condition, from every combination of its starts, and keep the best fit.

    |b| is bounded by the largest L0, because ΔL lies between 0 and L0.

    Args:
        table: usable cells (`memlaw_analysis.law.usable`), each once or, in a resample, several times. Columns
            `lora.rank`, `target_tokens`, `delta_loss_nats` and `base_loss_nats`.
        form: what to fit.
        rule: which cells to leave out; None is `default_rule`.
        loss: a key of `LOSSES`.
        like: a fit whose values are the only start and whose offset is held or varied likewise; for resamples.

    Raises:
        TooFewCells: fewer grid points than parameters + 1, fewer than two ranks or lengths among them, or the same
            ΔL in all of them.
    """
    rule = rule or default_rule(form)
    saturated = rule.excludes(table)
    used, excluded = table[~saturated], table[saturated]
    x, delta_loss = Inputs.of(used), used["delta_loss_nats"].to_numpy(float)
    if like:
        hold_offset = "b" in form.bounds and "b" not in like.result.var_names
    else:
        hold_offset = "b" in form.bounds and distinct_points(used) < MIN_CELLS_OFFSET
    check_enough(used, excluded, len(form.bounds) - hold_offset)
    check_varied(delta_loss)
    largest_base_loss = float(table["base_loss_nats"].max())

    def residual(params: lmfit.Parameters) -> np.ndarray:
        return form.function(x, **params.valuesdict()) - delta_loss

    starts = [like.values] if like else _starts(form, x, delta_loss)
    minimizer, result = best_fit(
        residual, (_parameters(form, start, largest_base_loss, hold_offset) for start in starts), LOSSES[loss]
    )
    problems, cautions = identification_problems(result), fit_cautions(result, len(used))
    return LawFit(form, minimizer, result, used, excluded, rule, problems, cautions)


def _parameters(
    form: Form, start: Mapping[str, float], largest_base_loss: float, hold_offset: bool
) -> lmfit.Parameters:
    """Bounds and start values; an offset that is held is 0."""
    params = lmfit.Parameters()
    for name, (low, high) in form.bounds.items():
        unit = largest_base_loss if name == "b" else 1.0
        fixed = name == "b" and hold_offset
        params.add(name, 0.0 if fixed else start[name], min=low * unit, max=high * unit, vary=not fixed)
    return params


def _starts(form: Form, x: Inputs, delta_loss: np.ndarray) -> Iterator[dict[str, float]]:
    for values in itertools.product(*form.starts.values()):
        start = dict(zip(form.starts, values, strict=True))
        yield {**start, form.scale: _scale(form, start, x, delta_loss)}


def _scale(form: Form, start: Mapping[str, float], x: Inputs, delta_loss: np.ndarray) -> float:
    """Start of the scale: the value that puts the unsaturated form in the middle of the data."""
    if form.scale == "a":
        return float(np.median(delta_loss - form.function(x, **{**start, "a": 0.0})))
    size = x.parameters if form.needs == "trainable_parameters" else x.r
    assert size is not None
    return float(np.median(delta_loss / (size ** start["alpha"] * x.l ** -start.get("beta", 1.0))))
