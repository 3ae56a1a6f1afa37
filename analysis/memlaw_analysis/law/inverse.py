"""Invert a law: the rank that a length needs, and the length that a rank holds."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq

from memlaw_analysis.law.forms import Inputs, Predict

LARGEST_RANK = 1e6
LARGEST_LENGTH = 1e9


def solve(monotone: Callable[[float], float], low: float, high: float) -> float:
    """Find where a monotone function of a positive number is 0, on a log scale; NaN where it has one sign."""
    if np.sign(monotone(low)) == np.sign(monotone(high)):
        return float("nan")
    return float(np.exp(brentq(lambda log_x: monotone(float(np.exp(log_x))), np.log(low), np.log(high))))


def rank_needed(predict: Predict, tokens: float, delta_loss: float, base_loss: float) -> float:
    """Find the rank at which a law predicts `delta_loss` nats for `tokens` tokens.

    Returns:
        1 where rank 1 suffices; NaN where no rank does.
    """

    def excess(rank: float) -> float:
        return float(predict(Inputs.grid(rank, tokens, base_loss))) - delta_loss

    return 1.0 if excess(1.0) >= 0 else solve(excess, 1.0, LARGEST_RANK)


def longest_length(predict: Predict, rank: float, delta_loss: float, base_loss: float) -> float:
    """Find the length in tokens at which a law predicts `delta_loss` nats for `rank`; NaN where it never does."""
    return solve(lambda length: float(predict(Inputs.grid(rank, length, base_loss))) - delta_loss, 1.0, LARGEST_LENGTH)
