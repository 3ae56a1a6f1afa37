"""The specification of a cell's adapter: rank, modules, scale; and the equivalent PEFT config."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from peft import LoraConfig

from memlaw.adapters.initial import INITS
from memlaw.config.canonical import parsed_layers
from memlaw.config.values import check_choice, check_share, check_whole
from memlaw.core.errors import ConfigError, spelled
from memlaw.models.devices import PRECISIONS

SCALINGS: dict[str, Callable[[float, int], float]] = {
    "constant": lambda lora_alpha, rank: lora_alpha,
    "rslora": lambda lora_alpha, rank: lora_alpha / math.sqrt(rank),
    "classic": lambda lora_alpha, rank: lora_alpha / rank,
}
"""Scale policies: `lora.scaling` → scale from `lora_alpha` and rank."""

PLACEMENTS = ("linear", "block")
AUTO, ALL_LINEAR = "auto", "all-linear"
"""Keywords in place of names of modules: see `memlaw.adapters.targets`."""


@dataclass(frozen=True)
class LoraSpec:
    """One cell's `lora` config, checked.

    Attributes:
        rank: R, at least 1.
        target_modules: names or regex as PEFT takes them, `AUTO` or `ALL_LINEAR`; names of blocks for block placement.
        layers: layer indices, negative from the end, or fractions of depth in (0, 1); None is every layer.
        placement: `linear` adapts linear maps as PEFT does; `block` adds scale · (x A) B to the output of
            whole blocks, hidden → hidden, as the paper does.
        scaling: a policy of `SCALINGS`.
        lora_alpha: numerator of the scale.
        init: how the initial weights are drawn, a key of `INITS`.
        dropout: share of the adapter's output that a training step drops; see `memlaw.adapters.dropout`.
        dtype: of the adapter's parameters and of AdamW's moments.
        seed: the cell's, for the initial weights and the dropout.
    """

    rank: int
    target_modules: str | tuple[str, ...]
    layers: tuple[int | float, ...] | None
    placement: str
    scaling: str
    lora_alpha: float
    init: str
    dropout: float
    dtype: torch.dtype
    seed: int

    @classmethod
    def from_config(cls, lora: Any, seed: int) -> "LoraSpec":
        """Check the section `lora`. Raises ConfigError naming the key and what is allowed."""
        check_whole("lora.rank", lora.rank, at_least=1)
        check_choice("lora.scaling", lora.scaling, SCALINGS)
        check_choice("lora.placement", lora.placement, PLACEMENTS)
        check_share("lora.dropout", lora.dropout)
        check_choice("lora.dtype", lora.dtype, PRECISIONS)
        _check_init(lora)
        names = {key: _names(f"lora.{key}", lora[key]) for key in ("target_modules", "block_modules")}
        return cls(
            lora.rank,
            names["block_modules" if lora.placement == "block" else "target_modules"],
            parsed_layers(lora.layers),
            lora.placement,
            lora.scaling,
            float(lora.lora_alpha),
            lora.init,
            float(lora.dropout),
            PRECISIONS[lora.dtype],
            seed,
        )

    @property
    def scale(self) -> float:
        """Factor on B A x."""
        return SCALINGS[self.scaling](self.lora_alpha, self.rank)

    def peft_config(self, target_modules: str | Sequence[str], layers: list[int] | None) -> LoraConfig:
        """Make the PEFT config of the same adapter, as it is after training.

        It has no dropout: PEFT's would act on the adapter's input.

        Raises:
            ValueError: PEFT refuses a value.
        """
        lora_alpha = self.lora_alpha * self.rank if self.scaling == "constant" else self.lora_alpha
        return LoraConfig(
            task_type="CAUSAL_LM",
            r=self.rank,
            lora_alpha=cast(int, lora_alpha),  # PEFT takes any number
            use_rslora=self.scaling == "rslora",
            lora_dropout=0.0,
            bias="none",
            target_modules=target_modules if isinstance(target_modules, str) else list(target_modules),
            layers_to_transform=layers,
        )


def _check_init(lora: Any) -> None:
    check_choice("lora.init", lora.init, INITS)
    if lora.init == "orthogonal" and lora.rank % 2:
        raise ConfigError(f"lora.init=orthogonal needs an even rank; lora.rank={lora.rank} is odd")
    if lora.init == "orthogonal" and lora.dtype != "fp32":
        raise ConfigError(f"lora.init=orthogonal needs lora.dtype=fp32; rounded to {lora.dtype}, B A is not zero")


def _names(key: str, value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, Sequence) and value and all(isinstance(name, str) for name in value):
        return tuple(value)
    raise ConfigError(f"{key}={spelled(value)} is neither a list of names of modules nor a regex")
