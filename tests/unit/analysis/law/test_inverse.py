import numpy as np
import pytest
from memlaw_analysis.law.forms import Inputs, power
from memlaw_analysis.law.inverse import longest_length, rank_needed, solve


def law(x: Inputs) -> np.ndarray:
    return power(x, C=60, alpha=0.7, beta=0.6)


def test_a_root_is_found_on_a_log_scale_or_there_is_none():
    assert solve(lambda x: x - 3, 1, 10) == pytest.approx(3)
    assert np.isnan(solve(lambda x: x + 3, 1, 10))


def test_rank_and_length_invert_the_law():
    rank = rank_needed(law, 1000, 5, 13)
    assert rank == pytest.approx((5 / 60 * 1000**0.6) ** (1 / 0.7))
    assert longest_length(law, rank, 5, 13) == pytest.approx(1000)


def test_rank_one_suffices_where_it_exceeds_the_goal_and_some_goals_are_never_reached():
    assert rank_needed(law, 10, 1, 13) == 1
    assert np.isnan(longest_length(lambda x: np.minimum(law(x), 4), 8, 5, 13))
