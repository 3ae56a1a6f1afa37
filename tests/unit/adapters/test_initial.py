"""Initial weights are those that PEFT and the paper's code draw, and the base model stays as it is."""

import math

import pytest
import torch
from helpers.models import random_base, spec
from peft import LoraConfig, get_peft_model
from scipy.stats import kstest

from memlaw.adapters.initial import INITS
from memlaw.adapters.stack import LoraPack, initial_weights
from memlaw.adapters.targets import Target, resolve_targets

IN_PEFT = {"peft": True, "gaussian": "gaussian", "orthogonal": "orthogonal"}
TARGET = Target("model.layers.2.mlp.down_proj", 48, 32, 2)


def drawn_by_peft(init: str, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B of PEFT's own functions, from torch's generator with the seed 7."""
    config = LoraConfig(r=rank, target_modules=[TARGET.name], init_lora_weights=IN_PEFT[init])
    layer = get_peft_model(random_base().model, config).get_submodule(f"base_model.model.{TARGET.name}")
    torch.manual_seed(7)
    if init == "orthogonal":
        layer.orthogonal_init("default")
    else:
        layer.reset_lora_parameters("default", IN_PEFT[init])
    return layer.lora_A["default"].weight.detach(), layer.lora_B["default"].weight.detach()


@pytest.mark.parametrize("init", IN_PEFT)
def test_the_weights_are_pefts_own_to_rounding(init: str):
    ours = INITS[init](4, TARGET.in_features, TARGET.out_features, torch.Generator().manual_seed(7))
    torch.testing.assert_close(ours, drawn_by_peft(init, 4), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 8])
def test_the_papers_weights_are_kaimings_on_a_transposed_tensor(rank: int):
    A, B = INITS["paper"](rank, 4000, 32, torch.Generator().manual_seed(0))
    kaiming = torch.nn.init.kaiming_uniform_(torch.zeros(4000, rank), a=math.sqrt(5))
    bound = 1 / math.sqrt(rank)
    for values in (A, kaiming):
        assert kstest(values.flatten().numpy(), "uniform", (-bound, 2 * bound)).pvalue > 1e-3
    assert A.shape == (rank, 4000)
    assert not B.any()


@pytest.mark.parametrize("init", INITS)
def test_before_training_the_model_is_the_base_model(init: str):
    base = random_base()
    specs = [spec(f"lora.rank={rank}", f"lora.init={init}", seed=rank) for rank in (2, 6)]
    pack = LoraPack(resolve_targets(base.model, specs[0]), specs)
    ids = torch.arange(20).view(2, 10)
    before = base.model(ids).logits
    with pack.attach(base.model):
        torch.testing.assert_close(base.model(ids).logits, before, atol=1e-5, rtol=1e-5)
    assert all(stack.A_NRI[n, : one.rank].any() for stack in pack.stacks for n, one in enumerate(specs))


@pytest.mark.parametrize("init", INITS)
def test_weights_are_the_cells_own_and_a_cell_that_adds_nothing_is_none_of_them(init: str):
    one, other = (initial_weights(TARGET, spec("lora.rank=4", f"lora.init={init}", seed=seed))[0] for seed in (0, 1))
    assert not torch.equal(one, other)
    pack = LoraPack([TARGET], [spec("lora.rank=4", f"lora.init={init}")])
    chosen = pack.selected([0, None]).stacks[0]
    assert torch.equal(chosen.B_NOR[0], pack.stacks[0].B_NOR[0])
    assert not chosen.B_NOR[1].any()
