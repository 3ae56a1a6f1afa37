import numpy as np
import pytest
from memlaw_analysis.experiments.censored import fit_line
from memlaw_analysis.law.enough import TooFewCells
from scipy import optimize, stats


def brackets(slope: float, noise: float, width: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.log(np.repeat([1, 2, 4, 8, 16], 3))
    y = 3.5 + slope * x + noise * rng.standard_normal(len(x))
    low = np.floor(y / width) * width
    return x, low, low + width


def test_the_line_is_found_within_its_interval():
    line = fit_line(*brackets(slope=1.2, noise=0.1, width=0.23))
    assert line.slope.value == pytest.approx(1.2, abs=0.06)
    assert line.slope.includes(1.2)
    assert line.spread == pytest.approx(0.1, abs=0.05)


def test_narrow_brackets_give_ordinary_least_squares():
    x, low, high = brackets(slope=0.9, noise=0.2, width=1e-3)
    fitted = stats.linregress(x, (low + high) / 2)
    assert fit_line(x, low, high).slope.value == pytest.approx(fitted.slope, abs=1e-3)


def test_it_is_the_maximum_of_the_likelihood_with_open_brackets():
    x, low, high = brackets(slope=1.2, noise=0.1, width=0.23)
    low[0], high[-1] = -np.inf, np.inf

    def loss(point: np.ndarray) -> float:
        at_zero, slope, log_spread = point
        centre, spread = at_zero + slope * x, np.exp(log_spread)
        shares = stats.norm.cdf((high - centre) / spread) - stats.norm.cdf((low - centre) / spread)
        return -float(np.log(np.maximum(shares, 1e-300)).sum())

    direct = optimize.minimize(loss, [3.0, 1.0, -2.0], method="Nelder-Mead", options={"maxiter": 4000}).x
    line = fit_line(x, low, high)
    assert (line.at_zero, line.slope.value) == pytest.approx(direct[:2], abs=1e-3)


def test_a_line_through_all_brackets_still_has_an_interval():
    x, low, high = brackets(slope=1.0, noise=0.0, width=0.4)
    slope = fit_line(x, low, high).slope
    assert slope.low < 1.0 < slope.high < 2.0


def test_two_ranks_give_no_slope():
    x, low, high = brackets(1.0, 0.0, 0.2)
    with pytest.raises(TooFewCells, match="2 ranks"):
        fit_line(x[:6], low[:6], high[:6])
