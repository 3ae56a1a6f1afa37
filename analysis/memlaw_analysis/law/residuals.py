"""Diagnostics of a fit's residuals: noise, as seeds show it, or a pattern that the form misses."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from memlaw_analysis.law.enough import ROUNDING, grid_point
from memlaw_analysis.law.fit import LawFit
from memlaw_analysis.law.forms import Inputs
from memlaw_analysis.law.gradient import gradient

SUSPICIOUS = 0.01
"""p-value below which residuals are called systematic."""


@dataclass(frozen=True)
class Residuals:
    """Diagnostics of a fit.

    Attributes:
        rms_nats: root mean square of predicted − true ΔL, nats per token.
        worst_cell: (rank, length, residual in % of ΔL) of the largest relative residual.
        curvature_p: p-value of an F test: would (ln r)², (ln ℓ)² and ln r·ln ℓ improve the fit? NaN with too few cells,
            or where they leave nothing but rounding.
        normality_p: Shapiro–Wilk p-value; NaN with fewer than three cells, or where all residuals are rounding.
        noise_nats: standard deviation between seeds of a grid point; NaN without repeated seeds, or where they agree
            in every digit.
        lack_of_fit_p: p-value of the lack-of-fit F test against that noise; NaN without noise.
    """

    rms_nats: float
    worst_cell: tuple[float, float, float]
    curvature_p: float
    normality_p: float
    noise_nats: float
    lack_of_fit_p: float

    @property
    def systematic(self) -> bool:
        """Whether a test rejects that the residuals are noise."""
        return any(p < SUSPICIOUS for p in (self.curvature_p, self.lack_of_fit_p))


def diagnose(fit: LawFit) -> Residuals:
    """Diagnose the residuals of the cells that a fit used."""
    cells = fit.used
    residual = fit.predict_cells(cells) - cells["delta_loss_nats"].to_numpy(float)
    share = 100 * residual / cells["delta_loss_nats"].to_numpy(float)
    worst = int(np.argmax(np.abs(share)))
    row = cells.iloc[worst]
    noise, lack = _against_noise(cells, residual, fit.result.nvarys)
    return Residuals(
        rms_nats=float(np.sqrt(np.mean(residual**2))),
        worst_cell=(float(row["lora.rank"]), float(row["target_tokens"]), float(share[worst])),
        curvature_p=_curvature(fit, residual),
        normality_p=_normality(residual, fit.leaves_rounding),
        noise_nats=noise,
        lack_of_fit_p=lack,
    )


def _normality(residual: np.ndarray, rounding: bool) -> float:
    if len(residual) < 3 or rounding or not np.ptp(residual):
        return float("nan")
    return float(stats.shapiro(residual).pvalue)


def _curvature(fit: LawFit, residual: np.ndarray) -> float:
    """F test of quadratic terms beside the fit's own tangent space, on the residuals."""
    inputs = Inputs.of(fit.used)
    x, y = (np.log(axis) - np.log(axis).mean() for axis in (inputs.r, inputs.l))
    tangent = gradient(fit, lambda predict: predict(inputs))
    curved = np.column_stack([tangent, x * x, y * y, x * y])
    before, after = (np.linalg.matrix_rank(design) for design in (tangent, curved))
    freedom = len(residual) - after
    if freedom < 1 or after == before:
        return float("nan")

    def unexplained(design: np.ndarray) -> float:
        return float(np.sum((residual - design @ np.linalg.lstsq(design, residual, rcond=None)[0]) ** 2))

    rest = unexplained(curved)
    if _only_rounding(rest, fit.used):  # the curve goes through every cell, so there is no noise to compare with
        return float("nan")
    return _f_test(unexplained(tangent) - rest, after - before, rest, freedom)


def _against_noise(cells: pd.DataFrame, residual: np.ndarray, parameters: int) -> tuple[float, float]:
    """Noise between seeds, and the lack-of-fit F test: residuals of means against it (Draper and Smith, 1.5)."""
    groups = cells.assign(residual=residual).groupby(grid_point(cells))["residual"]
    noise, repeats = float(((residual - groups.transform("mean").to_numpy()) ** 2).sum()), len(cells) - groups.ngroups
    if repeats < 1 or _only_rounding(noise, cells):
        return float("nan"), float("nan")
    lack, freedom = float((groups.size() * groups.mean() ** 2).sum()), groups.ngroups - parameters
    p = _f_test(lack, freedom, noise, repeats) if freedom > 0 else float("nan")
    return float(np.sqrt(noise / repeats)), p


def _only_rounding(squares: float, cells: pd.DataFrame) -> bool:
    """Whether a sum of squared residuals is what rounding alone leaves."""
    return squares <= len(cells) * (ROUNDING * float(cells["delta_loss_nats"].max())) ** 2


def _f_test(explained: float, terms: int, rest: float, freedom: int) -> float:
    """p-value of squares explained by so many terms, against the rest with its degrees of freedom."""
    return float(stats.f.sf((explained / terms) / (rest / freedom), terms, freedom))
