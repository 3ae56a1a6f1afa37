import math

import pytest

from memlaw.study.unintended_memorization import unintended_memorization


def test_by_hand():
    assert unintended_memorization(3.0, 2.0, 8, 4) == pytest.approx(
        {
            "source_entropy_nats": 3.0,
            "unintended_memorization_nats": 8.0,
            "unintended_bits_per_parameter": 2 / math.log(2),
        }
    )


def test_an_adapter_that_has_not_learned_the_source_stores_less_than_nothing():
    assert unintended_memorization(3.0, 3.5, 8, 4)["unintended_memorization_nats"] == -4


def test_an_unknown_entropy_leaves_all_open():
    assert set(unintended_memorization(None, 2.0, 8, 4).values()) == {None}
