"""Losses of a batch, from probabilities."""

import torch

from memlaw.methods.memft import BatchLosses


def losses_of(p: list[float], wrong: list[int] | None = None, valid: list[int] | None = None) -> BatchLosses:
    """Losses of one row of one cell."""
    nll = -torch.tensor(p, dtype=torch.float64).log()
    wrong_L = torch.tensor(wrong or [0] * len(p)).bool()
    valid_L = torch.tensor(valid or [1] * len(p)).bool()
    return BatchLosses((nll * valid_L)[None, None], (wrong_L & valid_L)[None, None], valid_L[None, None])
