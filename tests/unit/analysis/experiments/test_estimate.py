import numpy as np
import pytest
from memlaw_analysis.experiments.estimate import Estimate, mean_of, ratio_of, ratios_among, slope_of
from memlaw_analysis.law.enough import TooFewCells
from scipy import stats


def test_a_mean_has_students_interval():
    found = mean_of([1.0, 2.0, 3.0])
    half = 4.302653 / np.sqrt(3)  # t of 2 degrees of freedom, standard deviation 1
    assert found == pytest.approx((2.0, 2 - half, 2 + half))


def test_a_ratio_is_a_geometric_mean():
    found = ratio_of([2.0, 8.0], [1.0, 1.0])
    assert found.value == pytest.approx(4)
    assert found.low * found.high == pytest.approx(16)


def test_a_slope_is_that_of_the_least_squares_line():
    found = slope_of([0, 1, 2, 3], [0, 1, 2, 4])
    fitted, covariance = np.polyfit([0, 1, 2, 3], [0, 1, 2, 4], 1, cov=True)
    half = 4.302653 * np.sqrt(covariance[0, 0])
    assert found == pytest.approx((fitted[0], fitted[0] - half, fitted[0] + half))


@pytest.mark.parametrize(("estimate", "points"), [(mean_of, ([1.0],)), (slope_of, ([1, 1, 2], [0, 1, 2]))])
def test_too_few_measurements_have_no_interval(estimate, points):
    with pytest.raises(TooFewCells):
        estimate(*points)


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(1.2634, 1.161, 1.392), "1.26 (1.16 to 1.39)"),
        (Estimate(500.8, 461.9, 539.7), "501 (462 to 540)"),
        (Estimate(-0.0123, -0.019, 0.0011), "−0.012 (−0.019 to 0.001)"),
        (Estimate(1.0, float("-inf"), 2.0), "1.00 (−inf to 2.00)"),
        (Estimate(1.0, 1.0, 1.0), "1.00 (1.00 to 1.00)"),
    ],
)
def test_the_interval_decides_how_many_digits_are_shown(estimate: Estimate, text: str):
    assert str(estimate) == text


def test_intervals_that_hold_at_once_are_those_of_a_higher_level():
    found = mean_of([1.0, 2.0, 3.0], at_once=5)
    half = stats.t.ppf(1 - 0.01 / 2, 2) / np.sqrt(3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))


def test_ratios_among_many_equal_groups_rarely_exclude_one():
    random = np.random.default_rng(0)
    largest = []
    for _ in range(200):
        groups = {name: np.exp(random.normal(size=3)) for name in range(7)}
        means = {name: np.log(values).mean() for name, values in groups.items()}
        best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
        largest.append(not ratios_among(groups)[best, worst].includes(1))
    assert np.mean(largest) < 0.1  # Student's t for each pair: about a half


def test_ratios_among_two_groups_have_the_interval_of_students_t():
    above, below = np.array([1.0, 1.2, 1.4]), np.array([0.7, 0.8, 1.1])
    ratio = ratios_among({"above": above, "below": below})["above", "below"]
    interval = stats.ttest_ind(np.log(above), np.log(below)).confidence_interval()
    assert np.log([ratio.low, ratio.high]) == pytest.approx([interval.low, interval.high], abs=1e-4)


def test_ratios_among_need_two_measurements_each():
    with pytest.raises(TooFewCells, match="1 measurement of b"):
        ratios_among({"a": [1.0, 2.0], "b": [1.0]})
    with pytest.raises(TooFewCells, match="1 place"):
        ratios_among({"a": [1.0, 2.0]})
