"""What a bf16 base costs in accuracy: the same cells in fp32 and in bf16, on the default model.

`python tests/bench/precision.py [OVERRIDE…]` trains `GRID` in both precisions, into `runs/precision`, and prints
delta_loss_nats of each cell and the share of tokens on which the two agree about p > 0.5. Run again, it trains
what is missing.

Where torch has no fast bf16 product (it takes seconds for one that fp32 does in milliseconds), bf16 operands
are multiplied as fp32 numbers and the product is rounded to bf16 once, which is what AMX and GPUs compute.
"""

import json
import sys
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from torch.utils._python_dispatch import TorchDispatchMode

from memlaw.base_model import resolve_precision
from memlaw.cell import DONE, Cell
from memlaw.pack import train_pack
from memlaw.paths import config_dir
from memlaw.records import read_tokens

GRID = {64: (1, 2), 128: (1, 2, 4), 256: (1, 4)}
"""Ranks per length, from hardly recalled to nearly all."""

PRECISIONS = ("fp32", "bf16")
_PRODUCTS = {torch.ops.aten.mm.default, torch.ops.aten.bmm.default, torch.ops.aten.addmm.default}


class Bf16Products(TorchDispatchMode):
    """Products of bf16 matrices with fp32 accumulation and one rounding."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in _PRODUCTS and args[0].dtype == torch.bfloat16:
            return function(*(tensor.float() for tensor in args), **(kwargs or {})).to(torch.bfloat16)
        return function(*args, **(kwargs or {}))


def train(pack: list[Cell], cfg: Any) -> None:
    """Train those cells of the pack that are not done."""
    for cell in pack:
        if cell.state != DONE:
            cell.plan()
    native = resolve_precision("auto", torch.device("cpu")) == torch.bfloat16
    if native or pack[0].config.precision == "fp32":
        train_pack(pack, cfg)
    else:
        with Bf16Products():
            train_pack(pack, cfg)


def main(overrides: list[str]) -> None:
    """Train what is missing and print the comparison."""
    cells: dict[tuple[int, int, str], Cell] = {}
    with initialize_config_dir(config_dir(), version_base="1.3"):
        for seq_len, ranks in GRID.items():
            for precision in PRECISIONS:
                common = [f"seq_len={seq_len}", f"precision={precision}", "stop.when_recalled=false"]
                common += ["study=precision", "logger.mode=disabled", "trainer.device=cpu", *overrides]
                configs = [compose("config", [*common, f"lora.rank={rank}"]) for rank in ranks]
                pack = [Cell.from_config(cfg) for cfg in configs]
                cells |= {(seq_len, rank, precision): cell for rank, cell in zip(ranks, pack, strict=True)}
                train(pack, configs[0])
    print("| seq_len | rank | dL fp32 | dL bf16 | difference | p > 0.5 fp32 | bf16 | agreement |")
    print("|---|---|---|---|---|---|---|---|")
    for seq_len, ranks in GRID.items():
        for rank in ranks:
            pair = [cells[seq_len, rank, precision] for precision in PRECISIONS]
            fp32, bf16 = (json.loads(cell.paths.result.read_text(encoding="utf-8")) for cell in pair)
            last = [read_tokens(cell.paths.tokens).query(f"step == {fp32['total_steps']}")["p"] for cell in pair]
            agreement = ((last[0] > 0.5).to_numpy() == (last[1] > 0.5).to_numpy()).mean()
            dl = fp32["delta_loss_nats"], bf16["delta_loss_nats"]
            print(
                f"| {seq_len} | {rank} | {dl[0]:.4f} | {dl[1]:.4f} | {dl[1] / dl[0] - 1:+.2%} "
                f"| {fp32['recalled_share']:.1%} | {bf16['recalled_share']:.1%} | {agreement:.1%} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
