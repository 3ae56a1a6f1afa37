"""An evaluation has the pairs in order, whatever forward it comes from."""

import numpy as np
import torch

from memlaw.training.evaluation import Measured, evaluated_cells, measured_by
from memlaw.training.losses import TokenLosses
from memlaw.training.module import Forward


def losses(nll_NBL: torch.Tensor) -> TokenLosses:
    return TokenLosses(nll_NBL, nll_NBL.long() + 100, nll_NBL / 2)


def test_the_rows_of_a_step_are_put_in_the_order_of_their_pairs():
    rows_NB = torch.tensor([[2, 0, 1], [1, 0, -1]])  # the second cell has two pairs
    nll_NBL = rows_NB[..., None].float().expand(-1, -1, 2)
    measured = measured_by(Forward(rows_NB, losses(nll_NBL), 10 * nll_NBL))
    assert measured.losses.nll[0, :, 0].tolist() == [0, 1, 2]
    assert measured.losses.argmax[0, :, 0].tolist() == [100, 101, 102]
    assert measured.weight_NPL[0, :, 0].tolist() == [0, 10, 20]
    assert measured.losses.nll[1, :2, 0].tolist() == [0, 1]


def test_a_cells_evaluation_has_no_padding():
    nll_NPL = torch.arange(8.0).view(2, 2, 2)
    valid_NPL = torch.tensor([[[True, True], [True, False]], [[True, False], [False, False]]])
    first, second = evaluated_cells(Measured(losses(nll_NPL), nll_NPL * 3), valid_NPL, step=5)
    assert first.step == second.step == 5
    np.testing.assert_array_equal(first.nll_S, [0, 1, 2])
    np.testing.assert_array_equal(first.argmax_S, [100, 101, 102])
    np.testing.assert_array_equal(second.nll_S, [4])
    np.testing.assert_array_equal(second.weight_S, [12])
