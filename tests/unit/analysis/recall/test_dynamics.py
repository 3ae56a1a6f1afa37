import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from memlaw_analysis.recall.dynamics import evaluations, final, learned, telling_length


def tokens(rows: list[tuple[int, int, int, float, bool]]) -> pd.DataFrame:
    """(step, pair, position, p, argmax right) of one cell."""
    table = pd.DataFrame(rows, columns=["step", "pair", "position", "p", "right"])
    return table.assign(
        cell="c", weight=1.0, nll=-np.log(table["p"]), token_id=7, argmax_id=np.where(table["right"], 7, 8)
    )


def test_an_evaluation_is_summed_up_as_by_hand():
    table = tokens(
        [
            (0, 0, 0, 0.1, False), (0, 0, 1, 0.2, False), (0, 1, 0, 0.1, False), (0, 1, 1, 0.1, False),
            (5, 0, 0, 0.9, True), (5, 0, 1, 0.4, False), (5, 1, 0, 0.6, True), (5, 1, 1, 0.45, True),
        ]
    )  # fmt: skip
    found = evaluations(table).set_index("step").loc[5]
    assert found["loss_nats"] == pytest.approx(-np.log([0.9, 0.4, 0.6, 0.45]).mean())
    assert found["recalled_share"] == 0.5
    assert found["right_share"] == 0.75
    assert found["first_wrong_share"] == pytest.approx((0.5 + 1) / 2)
    assert found["exact_share"] == 0.5
    assert found["p50"] == pytest.approx(np.median([0.9, 0.4, 0.6, 0.45]))
    assert final(evaluations(table))["step"].tolist() == [5]


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_what_comes_back_is_what_stands_before_the_first_failure(right):
    found = evaluations(tokens([(1, 0, position, 0.3, ok) for position, ok in enumerate(right)])).iloc[0]
    before = right.index(False) if False in right else len(right)
    assert found["first_wrong_share"] == pytest.approx(before / len(right))
    assert found["exact_share"] == float(all(right))


def test_what_is_still_trained_and_what_is_spent_on_recalled_tokens():
    table = tokens([(1, 0, 0, 0.9, True), (1, 0, 1, 0.4, False), (2, 0, 0, 0.9, True), (2, 0, 1, 0.8, True)])
    found = evaluations(table.assign(weight=[0.5, 1.0, 0.0, 0.0]))
    assert found["active_share"].tolist() == [0.75, 0.0]
    assert found["spent_share"].tolist() == [pytest.approx(1 / 3), 0.0]


def test_steps_to_recall_and_the_budget_of_steps():
    history = pd.DataFrame(
        {
            "cell": ["a"] * 4 + ["b"] * 2,
            "step": [4, 0, 1, 2, 0, 10],
            "exact_share": [1.0, 0.0, 0.0, 1.0, 0.0, 0.9],
            "spent_share": [1.0, 0.0, 0.0, 0.5, 0.2, 0.4],
        }
    )
    found = learned(history).set_index("cell")
    assert found.loc["a", "steps_to_recall"] == 2
    assert found.loc["a", "spent_on_recalled"] == pytest.approx((0 + 0.25 + 1.5) / 4)
    assert np.isnan(found.loc["b", "steps_to_recall"])
    assert found.loc["b", "spent_on_recalled"] == pytest.approx(0.3)


def test_the_telling_length_is_where_ranks_differ():
    cells = pd.DataFrame(
        {
            "target_tokens": [64] * 3 + [256] * 3 + [1024] * 3,
            "lora.rank": [1, 4, 16] * 3,
            "recalled_share": [1, 1, 1, 0.1, 0.9, 1, 0, 0, 0.3],
        }
    )
    assert telling_length(cells) == 256
