import math

import numpy as np
import pytest
from memlaw_analysis.law.bits import bits_in, stored_share, tokens_worth
from memlaw_analysis.law.forms import Inputs


def test_bits_are_the_base_models_loss_over_all_tokens():
    losses = [0.5, 3.0, 2.5]
    assert bits_in(3, 2.0) == pytest.approx(sum(losses) / math.log(2))
    assert tokens_worth(bits_in(300, 6.6), 13.2) == pytest.approx(150)


def test_the_stored_share_is_the_laws_at_as_many_tokens_as_hold_the_bits():
    def law(x: Inputs) -> np.ndarray:
        return np.minimum(100 * x.r / x.l, x.base_loss)

    assert stored_share(law, 2, bits_in(40, 10.0), base_loss=10.0) == pytest.approx(0.5)
    assert stored_share(law, 2, bits_in(80, 5.0), base_loss=10.0) == pytest.approx(0.5)
    assert stored_share(law, 2, 1.0, base_loss=10.0) == 1
