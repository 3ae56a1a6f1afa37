"""Weighs tokens by their losses: plain fine-tuning and MemFT (paper, section "MemFT").

The loss of a cell is Σ_t w_t ℒ_t / Σ_t w_t over its batch, the weights without gradient. With τ = `threshold`:

- `Plain`: w_t = 1.
- `OnlyThreshold`: w_t = 1 where ℒ_t > −ln τ, that is p_t < τ, else 0.
- `SlidingWindow`: w_t = σ(s·(ℒ_t + ln τ)), times a factor that decays after the anchor. The anchor is the first token
  of the sample whose argmax is wrong. Beyond a window the factor is a floor. The window widens while the anchor stays.

Nothing here waits for the device.

Shapes: N cells, B rows of a batch per cell, L target tokens of a row.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch

from memlaw.config.values import check_choice, check_number
from memlaw.core.errors import ConfigError, spelled
from memlaw.methods.curriculum import WHOLE, Curriculum
from memlaw.methods.window import Window, next_window, window_factor

ALL_RECALLED = ("zero", "mean", "stop")
"""Effect of a step whose weights are all zero: none | that of the plain mean | none, and the cell ends."""


@dataclass(frozen=True)
class BatchLosses:
    """A method's input: the target tokens of a step.

    Attributes:
        nll_NBL: ℒ_t in nats, without gradient; 0 for padding.
        wrong_NBL: whether the argmax is another token; False for padding.
        valid_NBL: False for padding and for rows that fill a batch.
    """

    nll_NBL: torch.Tensor
    wrong_NBL: torch.Tensor
    valid_NBL: torch.Tensor

    @property
    def plain_NBL(self) -> torch.Tensor:
        """The weights of plain fine-tuning: 1, and 0 for padding."""
        return self.valid_NBL.to(self.nll_NBL.dtype)


class Method(Protocol):
    """A training method; constructed from `conf/method/*.yaml`."""

    @property
    def name(self) -> str:
        """Short name for tables and directories."""
        ...

    @property
    def threshold(self) -> float | None:
        """τ; None for a method without a threshold."""
        ...

    @property
    def all_recalled(self) -> str:
        """Effect of a step whose weights are all zero: one of `ALL_RECALLED`."""
        ...

    @property
    def curriculum(self) -> Curriculum:
        """The pairs that take part, by epoch."""
        ...

    def on(self, pairs: int) -> "Method":
        """Return the method for a memory of `pairs` pairs."""
        ...

    def weigh(self, losses: BatchLosses, window: Window) -> tuple[torch.Tensor, Window]:
        """Return weights [N, B, L], zero for padding, and the next state of the batch's samples."""
        ...


@dataclass(frozen=True)
class Plain:
    """`method=sft`: all target tokens have the same weight.

    Attributes:
        name: short name for tables and directories.
    """

    name: str
    threshold: float | None = field(default=None, init=False)
    all_recalled: str = field(default="mean", init=False)
    curriculum: Curriculum = field(default=WHOLE, init=False)

    def on(self, pairs: int) -> Method:
        """See `Method`."""
        return self

    def weigh(self, losses: BatchLosses, window: Window) -> tuple[torch.Tensor, Window]:
        """See `Method`."""
        return losses.plain_NBL, window


@dataclass(frozen=True)
class OnlyThreshold:
    """`method=memft_ot`: train only tokens below the threshold.

    Attributes:
        name: short name for tables and directories.
        threshold: τ; a token with p ≥ τ has weight 0.
        all_recalled: one of `ALL_RECALLED`.
        curriculum: the pairs that take part, by epoch.
    """

    name: str
    threshold: float
    all_recalled: str
    curriculum: Curriculum = WHOLE

    def __post_init__(self) -> None:
        _check(self.threshold, self.all_recalled)

    def on(self, pairs: int) -> Method:
        """See `Method`."""
        return self

    def weigh(self, losses: BatchLosses, window: Window) -> tuple[torch.Tensor, Window]:
        """See `Method`."""
        weights = threshold_weights(losses, self.threshold)
        return _or_mean(weights, losses, 0.0) if self.all_recalled == "mean" else weights, window


@dataclass(frozen=True)
class SlidingWindow:
    """`method=memft_sw`: on one long target a soft threshold, and a window from the first wrong token on.

    On a table it is `OnlyThreshold` with a curriculum.

    Attributes:
        name: short name for tables and directories.
        threshold: τ.
        all_recalled: one of `ALL_RECALLED`. On one long target the soft threshold is never zero.
        sharpness: s, of the soft threshold, per nat.
        window: W, tokens of the window at e = 1.
        decay: tokens over which the factor falls to 1/e of itself within the window.
        floor: factor beyond the window.
        patience: steps for which the anchor must stay before the window widens.
        growth: amount by which e then grows in every step.
        max_expansion: the largest e.
        min_weight: with Σ w at or below it, the step takes the plain mean.
        curriculum: on a table, the pairs that take part, by epoch.
    """

    name: str
    threshold: float
    all_recalled: str
    sharpness: float
    window: float
    decay: float
    floor: float
    patience: int
    growth: float
    max_expansion: float
    min_weight: float
    curriculum: Curriculum

    def __post_init__(self) -> None:
        _check(self.threshold, self.all_recalled)
        for name in ("sharpness", "window", "decay"):
            check_number(f"method.{name}", getattr(self, name), "above 0", lambda value: value > 0)
        for name in ("floor", "growth", "min_weight"):
            check_number(f"method.{name}", getattr(self, name), "at least 0", lambda value: value >= 0)
        check_number("method.patience", self.patience, "a whole number", lambda value: value == int(value) >= 0)
        check_number("method.max_expansion", self.max_expansion, "at least 1", lambda value: value >= 1)
        if not isinstance(self.curriculum, Curriculum):
            raise ConfigError(
                f"method.curriculum={spelled(self.curriculum)} is not a curriculum; see conf/method/memft_sw.yaml"
            )

    def on(self, pairs: int) -> Method:
        """See `Method`."""
        if pairs > 1:
            return OnlyThreshold(self.name, self.threshold, self.all_recalled, self.curriculum)
        return replace(self, curriculum=WHOLE)

    def weigh(self, losses: BatchLosses, window: Window) -> tuple[torch.Tensor, Window]:
        """See `Method`."""
        following = next_window(first_wrong(losses), window, self.patience, self.growth, self.max_expansion)
        soft_NBL = torch.sigmoid(self.sharpness * (losses.nll_NBL + math.log(self.threshold)))
        factor_NBL = window_factor(following, losses.valid_NBL.shape[-1], self.window, self.decay, self.floor)
        settled_NB1 = (following.anchor == losses.valid_NBL.sum(-1))[..., None]  # no argmax is wrong
        weights = soft_NBL * factor_NBL.where(~settled_NB1, 1.0) * losses.valid_NBL
        return _or_mean(weights, losses, self.min_weight), following


def threshold_weights(losses: BatchLosses, threshold: float) -> torch.Tensor:
    """Return 1 where ℒ_t > −ln τ, else 0."""
    return losses.plain_NBL.where(losses.nll_NBL > -math.log(threshold), 0.0)


def first_wrong(losses: BatchLosses) -> torch.Tensor:
    """Find the anchor [N, B]: the first target position whose argmax is wrong; the row's length when none is wrong."""
    length_NB = losses.valid_NBL.sum(-1)
    first_NB = losses.wrong_NBL.to(torch.uint8).argmax(-1)
    return first_NB.where(losses.wrong_NBL.any(-1), length_NB)


def _or_mean(weights_NBL: torch.Tensor, losses: BatchLosses, least: float) -> torch.Tensor:
    """Replace the weights of a cell by those of the plain mean when their sum is not above `least`."""
    enough_N11 = weights_NBL.sum((1, 2), keepdim=True) > least
    return weights_NBL.where(enough_N11, losses.plain_NBL)


def weighted_mean(nll_NBL: torch.Tensor, weights_NBL: torch.Tensor) -> torch.Tensor:
    """Return Σ_t w_t ℒ_t / Σ_t w_t of each cell, [N]; zero with zero gradient when all weights are zero."""
    total_N = weights_NBL.sum((1, 2))
    return (weights_NBL * nll_NBL).sum((1, 2)) / total_N.where(total_N > 0, 1.0)


def _check(threshold: float, all_recalled: str) -> None:
    check_number("method.threshold", threshold, "between 0 and 1", lambda value: 0 < value < 1)
    check_choice("method.all_recalled", all_recalled, ALL_RECALLED)
