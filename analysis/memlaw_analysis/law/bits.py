"""Translate a law between texts by bits: what counts is what the base model does not know, not the number of tokens.

A memory of B bits that the base model does not know (Σ of its NLL over the target) needs what B·ln 2 / L0 tokens of the
fitted text need, whose base loss is L0. `memlaw_analysis.advice.translation` measures how well that works.
"""

import math

from memlaw_analysis.law.forms import Inputs, Predict


def bits_in(tokens: float, base_loss: float) -> float:
    """Return the bits that the base model does not know of so many tokens with a mean loss L0 in nats."""
    return tokens * base_loss / math.log(2)


def tokens_worth(bits: float, base_loss: float) -> float:
    """Return how many tokens of a text with a mean loss L0 in nats hold so many bits."""
    return bits * math.log(2) / base_loss


def stored_share(predict: Predict, rank: float, bits: float, base_loss: float) -> float:
    """Predict which share of a memory an adapter stores.

    Args:
        predict: a law.
        rank: of the adapter, in the place that the law was fitted to.
        bits: the memory's, which the base model does not know.
        base_loss: L0 of the fitted text, nats per token.
    """
    return float(predict(Inputs.grid(rank, tokens_worth(bits, base_loss), base_loss))) / base_loss
