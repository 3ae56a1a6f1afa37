"""Every computed number on the page of published points, computed again: fits, slopes of slices, and what follows."""

import functools
import itertools
import math

import numpy as np
import pandas as pd
import pytest
from helpers.published import BASE_LOSS, POINTS, PROSE, UNSATURATED, WITHOUT_FIRST, delta_loss, prints, table
from memlaw_analysis.law.collapse import fit_collapse
from memlaw_analysis.law.fit import LawFit, fit_law
from memlaw_analysis.law.forms import FORMS
from memlaw_analysis.law.residuals import diagnose
from memlaw_analysis.law.rivals import held_out_error
from memlaw_analysis.law.saturation import NONE, Rule
from memlaw_analysis.law.uncertainty import profile_intervals
from scipy import stats

FITTED = (
    (POINTS, "power", NONE),
    (WITHOUT_FIRST, "power", NONE),
    (POINTS, "power", Rule("delta_loss", 0.8)),
    (WITHOUT_FIRST, "saturating_no_offset", NONE),
    (WITHOUT_FIRST, "saturating", NONE),
)
"""What each row of the first table fits."""

LAW, SATURATING = 2, 4
"""The rows whose slopes stand beside those of the slices."""

SLICES = [("seq_len", "lora.rank", length) for length in (2000, 3000, 4000, 5000, 6000, 7000, 8000, 10000)]
SLICES += [("lora.rank", "seq_len", rank) for rank in (1, 2, 4, 6, 8, 10, 12, 14)]
"""The column held, the column that varies, and the value held, of each row of the second table but the last two."""


@functools.cache
def fitted(row: int) -> LawFit:
    cells, form, rule = FITTED[row]
    return fit_law(cells, FORMS[form], rule)


@pytest.mark.parametrize("row", range(5))
def test_the_fits(row):
    fit, intervals = fitted(row), profile_intervals(fitted(row))
    _, r_squared, mape, alpha, beta, offset, ratio, _ = table("form, fitted to")[row]
    assert prints(r_squared, fit.r_squared)
    assert prints(mape, 100 * fit.mean_relative_error)
    assert prints(alpha, fit.values["alpha"], *intervals["alpha"])
    assert prints(beta, fit.values["beta"], *intervals["beta"])
    assert prints(offset, fit.values["b"]) if "b" in fit.values else offset == "–"
    assert prints(ratio, fit.exponent_ratio)


@pytest.mark.parametrize("row", [1, 3, 4])
def test_the_errors_on_unseen_points(row):
    cells, form, _ = FITTED[row]
    splits = (cells["seq_len"] >= 6000, cells["lora.rank"] >= 12, cells["lora.rank"] == 1)
    everything = cells["seq_len"] > 0

    def fit(rest: pd.DataFrame) -> LawFit:
        return fit_law(rest, FORMS[form], NONE)

    errors = [100 * held_out_error(cells, split, fit, everything) for split in splits]
    assert prints(table("form, fitted to")[row][7], *errors)


def test_what_the_page_says_of_the_fits():
    fits = [fitted(row) for row in range(5)]
    for name, low, high in (("alpha", 0.66, 0.89), ("beta", 0.56, 0.76)):
        values = [fit.values[name] for fit in fits]
        assert (min(values), max(values)) == pytest.approx((low, high), abs=0.006)
    assert min(fit.r_squared for fit in fits) > 0.995
    mapes = [fit.mean_relative_error for fit in fits]
    assert max(mapes) / min(mapes) == pytest.approx(3.6, abs=0.06)
    intervals = sorted(profile_intervals(fits[row])["alpha"] for row in (0, 2, 3, 4))
    assert [low > high for (_, high), (low, _) in itertools.pairwise(intervals)] == [True, True, False]
    assert fits[SATURATING].values["q"] == pytest.approx(6.4, abs=0.05)
    assert "(C = 238.3)" in PROSE and fits[0].values["C"] == pytest.approx(238.3, abs=0.06)
    corner = POINTS[(POINTS["lora.rank"] == 1) & (POINTS["seq_len"] == 10000)]
    assert diagnose(fits[0]).curvature_p == pytest.approx(2.06e-8, rel=0.05)
    assert fit_collapse(POINTS).kappa == pytest.approx(1.16, abs=0.006)
    assert (delta_loss(corner) / fits[0].predict_cells(corner)).item() == pytest.approx(1.32, abs=0.006)


def line(cells: pd.DataFrame, other: str, values: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Slope of ln values on ln of a column, the half-width of its 95 % interval, and the line, in closed form."""
    x = np.log(cells[other].to_numpy(float))
    fit = stats.linregress(x, np.log(values))
    return fit.slope, stats.t.ppf(0.975, len(x) - 2) * fit.stderr, np.exp(fit.intercept + fit.slope * x)


@pytest.mark.parametrize("row", range(16))
def test_the_slices(row):
    held, other, value = SLICES[row]
    at, points, exponent, r_squared, mape, *models = table("at")[row]
    cells = UNSATURATED[UNSATURATED[held] == value]
    true, sign = delta_loss(cells).to_numpy(), 1 if other == "lora.rank" else -1
    slope, half, fit = line(cells, other, true)
    assert prints(at, value) and prints(points, len(cells))
    assert prints(exponent, sign * slope, half)
    assert prints(r_squared, 1 - ((true - fit) ** 2).sum() / ((true - true.mean()) ** 2).sum())
    assert prints(mape, 100 * abs(fit / true - 1).mean())
    slopes = [line(cells, other, fitted(model).predict_cells(cells))[0] for model in (LAW, SATURATING)]
    assert [prints(cell, sign * model) for cell, model in zip(models, slopes, strict=True)] == [True, True]
    assert [abs(model - slope) < within for model, within in zip(slopes, (0.05, 0.031), strict=True)] == [True, True]


def test_no_slice_of_three_points_is_missing():
    for held in ("seq_len", "lora.rank"):
        sizes = UNSATURATED.groupby(held).size()
        assert list(sizes.index[sizes >= 3]) == [value for name, _, value in SLICES if name == held]


def least_squares(columns: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients and the sum of squared residuals."""
    coefficients = np.linalg.lstsq(columns, y, rcond=None)[0]
    return coefficients, float(((y - columns @ coefficients) ** 2).sum())


@pytest.mark.parametrize(
    ("row", "held", "other", "p"), [(16, "seq_len", "lora.rank", 0.23), (17, "lora.rank", "seq_len", 1e-5)]
)
def test_one_slope_for_all_slices(row, held, other, p):
    cells = UNSATURATED[UNSATURATED.groupby(held)[held].transform("size") >= 3]
    sign = 1 if other == "lora.rank" else -1
    levels = pd.get_dummies(cells[held]).to_numpy(float)
    x = np.log(cells[other].to_numpy(float))[:, None]
    common, separate = np.hstack([x, levels]), np.hstack([levels * x, levels])

    def slope(values: np.ndarray) -> float:
        return sign * least_squares(common, np.log(values))[0][0]

    true = delta_loss(cells).to_numpy()
    coefficients, rest = least_squares(common, np.log(true))
    freedom = len(true) - common.shape[1]
    half = stats.t.ppf(0.975, freedom) * math.sqrt(rest / freedom * np.linalg.inv(common.T @ common)[0, 0])
    fit = np.exp(common @ coefficients)
    _, points, exponent, r_squared, mape, *models = table("at")[row]
    assert prints(points, len(true)) and prints(exponent, slope(true), half)
    assert prints(r_squared, 1 - ((true - fit) ** 2).sum() / ((true - true.mean()) ** 2).sum())
    assert prints(mape, 100 * abs(fit / true - 1).mean())
    for cell, model in zip(models, (LAW, SATURATING), strict=True):
        assert prints(cell, slope(fitted(model).predict_cells(cells)))
    more, left = levels.shape[1] - 1, least_squares(separate, np.log(true))[1]
    spare = len(true) - separate.shape[1]
    assert stats.f.sf((rest - left) / more / (left / spare), more, spare) == pytest.approx(p, rel=0.05)


def test_how_much_of_the_gain_is_memory():
    learned = BASE_LOSS - math.log(151_643)
    assert learned == pytest.approx(0.40, abs=0.006)
    gains = POINTS[POINTS["lora.rank"] == 1].set_index("seq_len")["delta_loss_nats"]
    for row, zero in zip(table("stored at r = 1"), (0, learned), strict=True):
        stored = {length: length * (gains[length] - zero) for length in (500, 5000, 10000)}
        assert [prints(cell, value) for cell, value in zip(row[1:4], stored.values(), strict=True)] == [True] * 3
        for cell, length in zip(row[4:], (500, 5000), strict=True):
            assert prints(cell, math.log(stored[10000] / stored[length]) / math.log(10000 / length))
    offsets = [profile_intervals(fitted(row))["b"] for row in (LAW, SATURATING)]
    assert offsets[0] == pytest.approx((0.32, 0.60), abs=0.006) and offsets[1] == pytest.approx((0.47, 0.76), abs=0.006)
    assert learned / math.log(2) == pytest.approx(0.58, abs=0.006)
    bits = [[(loss - zero) / math.log(2) for loss in (12.9, 13.8)] for zero in (math.log(49_133), 0)]
    assert bits == pytest.approx(np.array([[3.0, 4.3], [18.6, 19.9]]), abs=0.06)


def spread(mape: float, r_squared: float) -> float:
    """The relative spread of ΔL that would give such a fit with normal errors."""
    return mape * math.sqrt(math.pi / 2) / math.sqrt(1 - r_squared)


def test_the_spreads_of_the_paper_s_settings():
    rows = table("model")
    assert len(rows) == 4
    for _, _, r_squared, mape, share in rows:
        assert prints(share, spread(float(mape.rstrip(" %")), float(r_squared)))
    fit = fitted(0)
    assert spread(fit.mean_relative_error, fit.r_squared) == pytest.approx(0.67, abs=0.006)
    assert delta_loss(POINTS).std() / delta_loss(POINTS).mean() == pytest.approx(0.50, abs=0.006)


def test_which_points_the_figure_shows():
    assert len(POINTS) == 70 and 16 * 13 == 208
    assert BASE_LOSS - delta_loss(WITHOUT_FIRST).max() == pytest.approx(0.76, abs=0.006)
    assert (delta_loss(WITHOUT_FIRST) >= 0.8 * BASE_LOSS).sum() == 15
    assert POINTS["lora.rank"].max() == 24
