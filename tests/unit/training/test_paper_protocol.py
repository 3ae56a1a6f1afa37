"""The paper's trainer: our packs against a plain loop of its rules, written by hand for one cell."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.packs import LONG, STEPS, make_cells, train
from hydra.utils import instantiate
from safetensors.torch import load_file

from memlaw.adapters.spec import LoraSpec
from memlaw.adapters.stack import initial_weights
from memlaw.adapters.targets import resolve_targets
from memlaw.core.seeding import stream_seed
from memlaw.study.cell import Cell
from memlaw.study.records import read_tokens

PAPER = (
    *LONG, "lora.placement=block", "lora.scaling=constant", "lora.lora_alpha=1", "lora.init=paper",
    "optimizer.lr=1e-2", "optimizer.clip_norm=1.0", "optimizer.weight_decay=0",
)  # fmt: skip
MODULE = "model.layers.1.mlp"


def loop(cell: Cell, dtype: torch.dtype) -> dict[int, np.ndarray]:
    """Losses of the target tokens in nats, by the number of steps before, for a memory of one pair.

    The base model is in fp32, the adapter and AdamW's moments in `dtype`.
    """
    c, p = cell.config, cell.config.lora.dropout
    base = instantiate(c.model, _convert_="all").load(torch.float32, torch.device("cpu"))
    (pair,) = instantiate(c.data).build(base.tokenizer, c.seq_len, c.seed).pairs
    ids, target = torch.tensor([pair.query_ids + pair.target_ids]), torch.tensor(pair.target_ids)
    spec = LoraSpec.from_config(c.lora, c.seed)
    (found,) = resolve_targets(base.model, spec)
    assert found.name == MODULE
    A = initial_weights(found, spec)[0].T.to(dtype).clone().requires_grad_()
    B = torch.zeros(A.shape[::-1], dtype=dtype, requires_grad=True)
    dropped = None

    def adapted(_module, args, output):
        added = args[0].to(dtype) @ (A @ B)
        return output + (added if dropped is None else added * ~dropped / (1 - p)).to(output.dtype)

    def nll() -> torch.Tensor:
        logits = base.model(input_ids=ids, use_cache=False).logits[0, len(pair.query_ids) - 1 : -1]
        return F.cross_entropy(logits, target, reduction="none")

    base.model.get_submodule(MODULE).register_forward_hook(adapted)
    optimizer = torch.optim.AdamW([A, B], lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0)
    losses = {}
    for step in range(STEPS + 1):
        with torch.no_grad():
            losses[step] = nll().numpy()
        if p:
            generator = torch.Generator().manual_seed(stream_seed(c.seed, f"dropout {MODULE} {step}"))
            dropped = torch.rand(1, ids.shape[1], B.shape[1], generator=generator) < p
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / STEPS)
        optimizer.zero_grad()
        losses_T = nll()
        weight_T = torch.ones_like(losses_T)
        if c.method.name == "memft_ot":
            weight_T = (losses_T.detach() > -math.log(c.method.threshold)).float()
        ((weight_T * losses_T).sum() / weight_T.sum()).backward()
        torch.nn.utils.clip_grad_norm_([A, B], 1.0)
        optimizer.step()
        dropped = None
    return losses


def recorded(cell: Cell) -> dict[int, np.ndarray]:
    return {step: rows["nll"].to_numpy() for step, rows in read_tokens(cell.paths.tokens).groupby("step")}


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_losses_are_those_of_the_loop(tiny, dropout: float):
    points = [
        (f"lora.rank={rank}", f"seed={rank}", f"method={method}", f"lora.dropout={dropout}", *PAPER)
        for rank, method in ((1, "sft"), (8, "sft"), (8, "memft_ot"))
    ]
    cells, cfg = make_cells(tiny, points)
    train(cells, cfg)
    for cell in cells:
        ours, expected = recorded(cell), loop(cell, torch.float32)
        assert {0, 1, STEPS} < set(ours)
        for step, nll in ours.items():
            np.testing.assert_allclose(nll, expected[step], rtol=0, atol=1e-4, err_msg=f"{cell.name} {step}")


def test_with_adapters_in_bf16_losses_are_those_of_the_loop_up_to_its_rounding(tiny):
    cells, cfg = make_cells(tiny, [(f"lora.rank={rank}", *PAPER, "lora.dtype=bf16") for rank in (1, 8)])
    train(cells, cfg)
    for cell in cells:
        ours, expected, unrounded = recorded(cell), loop(cell, torch.bfloat16), loop(cell, torch.float32)
        for step, nll in ours.items():
            assert nll.mean() == pytest.approx(expected[step].mean(), abs=2e-3)
            np.testing.assert_allclose(nll, expected[step], rtol=0, atol=0.03, err_msg=f"{cell.name} {step}")
        assert ours[STEPS].mean() - unrounded[STEPS].mean() > 2e-3
        tensors = load_file(cell.paths.adapter / "adapter_model.safetensors")
        assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
