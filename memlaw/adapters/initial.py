"""Initial weights of an adapter, drawn without data. The base model's weights stay, and B A is zero.

PEFT has more: `olora`, `pissa`, `corda` and `loftq` change the base model's weights, `eva` and `lora_ga` need data, and
`mica` trains A alone.

Shapes: R rank, I and O input and output size of a module.
"""

import math
from collections.abc import Callable

import torch

Init = Callable[[int, int, int, torch.Generator], tuple[torch.Tensor, torch.Tensor]]
"""Takes R, I, O and a generator. Returns A [R, I] and B [O, R] in fp32."""


def _uniform(bound: float, rank: int, inputs: int, generator: torch.Generator) -> torch.Tensor:
    """Draw A uniformly in ±`bound`, row by row: at equal bounds a smaller rank has the first rows of a larger one."""
    return (torch.rand(rank, inputs, generator=generator) * 2 - 1) * bound


def peft(rank: int, inputs: int, outputs: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw A uniformly in ±1/√I, and set B to zero: PEFT's default."""
    return _uniform(1 / math.sqrt(inputs), rank, inputs, generator), torch.zeros(outputs, rank)


def paper(rank: int, inputs: int, outputs: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw A uniformly in ±1/√R, and set B to zero: the paper's released code.

    That code calls `kaiming_uniform_` with a = √5 as PEFT does, but on a tensor [I, R], whose fan-in is R.
    """
    return _uniform(1 / math.sqrt(rank), rank, inputs, generator), torch.zeros(outputs, rank)


def gaussian(rank: int, inputs: int, outputs: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw A normally with standard deviation 1/R, and set B to zero: PEFT's `gaussian`."""
    return torch.randn(rank, inputs, generator=generator) / rank, torch.zeros(outputs, rank)


def orthogonal(rank: int, inputs: int, outputs: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw A and B normally in complementary halves of R dimensions, so that B A is zero: PEFT's `orthogonal`.

    R must be even. B A is zero up to the rounding of fp32.
    """
    Q_RR, _ = torch.linalg.qr(torch.randn(rank, rank, generator=generator))
    A_RI = (torch.randn(inputs, rank // 2, generator=generator) @ Q_RR[0::2]).T / 10
    B_OR = torch.randn(rank // 2, outputs, generator=generator).T @ Q_RR[1::2] / 10
    return A_RI, B_OR


INITS: dict[str, Init] = {"peft": peft, "paper": paper, "gaussian": gaussian, "orthogonal": orthogonal}
"""Values of `lora.init`."""
