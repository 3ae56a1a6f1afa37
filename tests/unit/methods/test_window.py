import math

import pytest
import torch
from helpers.batch_losses import losses_of

from memlaw.methods.memft import (
    first_wrong,
)
from memlaw.methods.window import Window, next_window, window_factor

FRESH = Window.fresh(1, 1)


def test_the_anchor_is_the_first_wrong_token():
    assert first_wrong(losses_of([0.1] * 4, wrong=[0, 0, 1, 1])).tolist() == [[2]]
    assert first_wrong(losses_of([0.9] * 4)).tolist() == [[4]]
    assert first_wrong(losses_of([0.9] * 4, valid=[1, 1, 1, 0])).tolist() == [[3]]


def test_the_factor_before_within_at_the_edge_and_beyond_the_window():
    window = Window(torch.tensor([[2]]), torch.tensor([[0]]), torch.tensor([[1.0]]))
    factor = window_factor(window, 60, width=50, decay=20, floor=0.01)[0, 0]
    assert factor[0] == factor[1] == factor[2] == 1  # before the anchor, and at it
    assert factor[3] == pytest.approx(math.exp(-1 / 20))
    assert factor[2 + 49] == pytest.approx(math.exp(-49 / 20))
    assert factor[2 + 50] == pytest.approx(0.01)
    assert factor[59] == pytest.approx(0.01)
    wider = Window(window.anchor, window.stayed, torch.tensor([[1.1]]))
    assert window_factor(wider, 60, 50, 20, 0.01)[0, 0, 2 + 54] == pytest.approx(math.exp(-54 / 20))
    assert window_factor(wider, 60, 50, 20, 0.01)[0, 0, 2 + 55] == pytest.approx(0.01)


def test_the_window_widens_once_the_anchor_has_stayed_three_times_up_to_four_and_falls_back():
    window, expansions = FRESH, []
    for anchor in [5] * 12 + [6, 6, 6, 6]:
        window = next_window(torch.tensor([[anchor]]), window, patience=3, growth=0.5, most=4)
        expansions.append(window.expansion.item())
    assert expansions == [1, 1, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4, 4, 4, 1, 1, 1, 1.5]
