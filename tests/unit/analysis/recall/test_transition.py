import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memlaw_analysis.recall.transition import decoupled, first_failures, lucky_share, transition, violations


def tokens(p: list[float], right: list[bool], cell: str = "a", pair: int = 0) -> pd.DataFrame:
    count = len(p)
    return pd.DataFrame(
        {
            "cell": cell, "pair": pair, "position": range(count), "token_id": range(count),
            "argmax_id": [index if good else -1 for index, good in enumerate(right)], "p": p, "nll": -np.log(p),
        }
    )  # fmt: skip


def test_the_transition_counts_right_tokens_per_bin_of_p():
    table = transition(tokens([0.1, 0.2, 0.5, 0.51, 1.0], [False, True, False, True, True]), bins=2)
    assert table["tokens"].tolist() == [3, 2]  # p = 0.5 belongs to the lower bin: it is not certain
    assert table["right"].tolist() == pytest.approx([1 / 3, 1.0])


def test_an_empty_bin_has_no_share():
    assert transition(tokens([0.9], [True]), bins=2)["right"].isna().tolist() == [True, False]


def test_a_wrong_argmax_at_more_than_one_half_is_a_violation():
    good = tokens([0.5, 0.4, 0.6], [False, True, True])
    assert violations(good).empty
    bad = pd.concat([good, tokens([0.7], [False], cell="b")])
    assert violations(bad)["cell"].tolist() == ["b"]


def test_lucky_tokens_are_right_without_certainty():
    assert lucky_share(tokens([0.9, 0.5, 0.3, 0.2], [True, True, True, False])) == pytest.approx(2 / 3)
    assert np.isnan(lucky_share(tokens([0.2], [False])))


def test_first_failures_per_pair_with_the_length_where_there_is_none():
    both = pd.concat(
        [tokens([0.9, 0.4, 0.3], [True, True, False]), tokens([0.9, 0.8], [True, True], pair=1)], ignore_index=True
    )
    found = first_failures(both)
    assert found["first_stubborn"].tolist() == [1, 2]
    assert found["first_wrong"].tolist() == [2, 2]
    assert found["length"].tolist() == [3, 2]


@given(st.lists(st.tuples(st.floats(0.001, 1), st.booleans()), min_size=1, max_size=30))
def test_the_bound_is_never_beyond_the_failure(drawn):
    table = tokens([p for p, _ in drawn], [right or p > 0.5 for p, right in drawn])
    found = first_failures(table)
    assert (found["first_stubborn"] <= found["first_wrong"]).all()


def test_a_low_mean_loss_without_recall_is_decoupled():
    low = tokens([0.99] * 9 + [0.3], [True] * 9 + [False], cell="low")
    recalled = tokens([0.9] * 3, [True] * 3, cell="recalled")
    high = tokens([0.1] * 3, [False] * 3, cell="high")
    assert decoupled(pd.concat([low, recalled, high], ignore_index=True)) == ["low"]
