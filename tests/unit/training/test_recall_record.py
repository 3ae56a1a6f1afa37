import numpy as np
import pytest

from memlaw.data.memory import Memory, Pair
from memlaw.training.recall_record import Written, recall_record


def test_a_record_is_summed_up_as_by_hand():
    memory = Memory((Pair((1,), (5, 6, 7, 8)), Pair((2,), (9, 9))))
    written = Written(
        greedy=[np.array([5, 6, 0, 8]), np.array([9, 9])],
        control=[np.array([5, 0, 0, 0]), np.array([0, 9])],
        samples=[[np.array([5, 6, 7, 8]), np.array([9, 0])]],
        decoding="cache",
    )
    p = np.array([0.9, 0.4, 0.3, 0.9, 0.8, 0.45])
    record = recall_record(memory, written, p, np.array([5, 6, 0, 8, 9, 9]))
    assert record["recall_exact_share"] == 0.5
    assert record["recall_token_accuracy"] == pytest.approx(5 / 6)
    assert record["recall_matched_share"] == pytest.approx((2 / 4 + 1) / 2)
    assert (record["recall_unlike_predicted"], record["recall_order_violations"]) == (0, 0)
    assert record["control_exact_share"] == 0
    assert record["control_token_accuracy"] == pytest.approx(2 / 6)
    assert record["sample_exact_share"] == 0.5
    assert record["by_pair"][0] == {
        "exact": False, "token_accuracy": 0.75, "matched_prefix": 2, "first_failure": 2, "length": 4,
        "predicted_first_failure": 2, "first_stubborn": 1, "control_exact": False, "control_token_accuracy": 0.25,
    }  # fmt: skip
    assert record["by_pair"][1]["first_failure"] is None
