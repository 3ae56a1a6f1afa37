"""What a bf16 base costs in accuracy, on the default model: `python benchmarks/precision.py [OVERRIDE…]`.

Two questions, for each cell of `GRID`:
1. The same adapter, trained in fp32, under the base in fp32 and in bf16: how far apart are ΔL and p > 0.5?
2. Trained in bf16 instead: does it end further from the fp32 run than a second fp32 run does, whose initial
   adapter differs by one part in a million? Training at the edge of capacity amplifies any rounding.

Cells go into `runs/precision`; run again, it trains what is missing. Where torch has no fast bf16 product (it
takes seconds for one that fp32 does in milliseconds), bf16 operands are multiplied as fp32 numbers and the
product is rounded to bf16 once, which is what AMX and GPUs compute.
"""

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import DictConfig
from peft import PeftModel
from torch.utils._python_dispatch import TorchDispatchMode

from memlaw.adapters.spec import LoraSpec
from memlaw.adapters.stack import initial_weights
from memlaw.adapters.targets import Target
from memlaw.config.compose import compose_config
from memlaw.models.devices import PRECISIONS, resolve_precision
from memlaw.planning.cells import compose_cell
from memlaw.study.cell import Cell
from memlaw.study.records import read_tokens
from memlaw.study.status import DONE
from memlaw.training.pack import train_pack

GRID = {64: (1, 2), 128: (1, 2, 4), 256: (1, 4)}
"""Ranks per length, from hardly recalled to nearly all."""

CPU = torch.device("cpu")
_PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.bmm.default, torch.ops.aten.addmm.default}


class Bf16Products(TorchDispatchMode):
    """Products of bf16 matrices with fp32 accumulation and one rounding."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in _PRODUCTS and args[0].dtype == torch.bfloat16:
            return function(*(tensor.float() for tensor in args), **(kwargs or {})).to(torch.bfloat16)
        return function(*args, **(kwargs or {}))


def products(precision: str) -> AbstractContextManager[Any]:
    """`Bf16Products` where torch needs them."""
    slow = precision == "bf16" and resolve_precision("auto", CPU) == torch.float32
    return Bf16Products() if slow else nullcontext()


def compose_pack(seq_len: int, ranks: tuple[int, ...], *overrides: str) -> tuple[list[Cell], DictConfig]:
    """Cells of one length."""
    common = [f"seq_len={seq_len}", "stop.when_recalled=false", "logger.mode=disabled", "trainer.device=cpu"]
    configs = [compose_config([*common, *overrides, f"lora.rank={rank}"]) for rank in ranks]
    return [compose_cell(cfg) for cfg in configs], configs[0]


def train(pack: list[Cell], cfg: DictConfig) -> None:
    """Train those cells of the pack that are not done."""
    for cell in pack:
        if cell.state != DONE:
            cell.plan()
    with products(cfg.precision):
        train_pack(pack, cfg)


def trained(cell: Cell) -> tuple[float, np.ndarray]:
    """ΔL, and p of every target token."""
    result = json.loads(cell.paths.result.read_text(encoding="utf-8"))
    tokens = read_tokens(cell.paths.tokens)
    return result["delta_loss_nats"], tokens[tokens["step"] == tokens["step"].max()]["p"].to_numpy()


@torch.no_grad()
def under(cell: Cell, precision: str) -> tuple[float, np.ndarray]:
    """ΔL and p of a trained adapter, by PEFT on the base in another precision."""
    c = cell.config
    base = instantiate(c.model, _convert_="all").load(PRECISIONS[precision], CPU)
    (pair,) = instantiate(c.data, _convert_="all").build(base.tokenizer, c.seq_len, c.seed).pairs
    ids, start = torch.tensor([pair.query_ids + pair.target_ids]), len(pair.query_ids)

    def losses(model: Any) -> torch.Tensor:
        logits = model(input_ids=ids).logits[0, start - 1 : -1].float()
        return F.cross_entropy(logits, ids[0, start:], reduction="none")

    with products(precision):
        base_loss_S = losses(base.model)
        loss_S = losses(PeftModel.from_pretrained(base.model, cell.paths.adapter).eval())
    return float((base_loss_S - loss_S).mean()), torch.exp(-loss_S).numpy()


def difference(reference: tuple[float, np.ndarray], other: tuple[float, np.ndarray]) -> str:
    """Relative difference of ΔL, and agreement on p > 0.5."""
    agreement = ((reference[1] > 0.5) == (other[1] > 0.5)).mean()
    return f"{other[0] / reference[0] - 1:+.2%} / {agreement:.1%}"


def slightly_other(target: Target, spec: LoraSpec) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the initial A and B of a cell, A larger by a millionth."""
    A, B = initial_weights(target, spec)
    return A * (1 + 1e-6), B


def main(overrides: list[str]) -> None:
    """Train what is missing and print the comparison, a row per cell as soon as it is known."""
    print("| seq_len | rank | dL fp32 | p > 0.5 | same adapter in bf16 | trained in bf16 | trained in fp32 again |")
    print("|---|---|---|---|---|---|---|")
    for seq_len, ranks in GRID.items():
        fp32 = compose_pack(seq_len, ranks, "precision=fp32", "study=precision", *overrides)
        bf16 = compose_pack(seq_len, ranks, "precision=bf16", "study=precision", *overrides)
        again = compose_pack(seq_len, ranks, "precision=fp32", "study=precision_again", *overrides)
        train(*fp32)
        train(*bf16)
        with patch("memlaw.adapters.stack.initial_weights", slightly_other):
            train(*again)
        for rank, cell, low, second in zip(ranks, fp32[0], bf16[0], again[0], strict=True):
            reference = trained(cell)
            compared = (difference(reference, other) for other in (under(cell, "bf16"), trained(low), trained(second)))
            share = (reference[1] > 0.5).mean()
            print(f"| {seq_len} | {rank} | {reference[0]:.4f} | {share:.1%} | {' | '.join(compared)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
