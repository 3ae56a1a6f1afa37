import math
from pathlib import Path

import pytest
import torch
from conftest import composed
from models import ARCHITECTURES, random_base
from peft import PeftModel

from memlaw.errors import ConfigError
from memlaw.lora import AdapterStack, LoraPack, LoraSpec, Target, initial_A, layer_indices, resolve_targets


def spec(*overrides: str, seed: int = 0) -> LoraSpec:
    return LoraSpec.from_config(composed("lora.layers=[2]", *overrides).lora, seed)


def trained_pack(base, specs: list[LoraSpec]) -> LoraPack:
    """A pack whose B are no longer zero."""
    pack = LoraPack(resolve_targets(base.model.config, specs[0]), specs)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for stack in pack.stacks:
            for n, one in enumerate(specs):
                shape = stack.B_NOR[n, :, : one.rank].shape
                stack.B_NOR[n, :, : one.rank] = torch.randn(shape, generator=generator) * 0.1
    return pack


@pytest.mark.parametrize("scaling", ["constant", "rslora", "classic"])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_an_exported_cell_gives_the_same_logits_in_peft(model_type: str, scaling: str, tmp_path: Path):
    base = random_base(model_type)
    specs = [spec(f"lora.rank={rank}", f"lora.scaling={scaling}", "lora.lora_alpha=4") for rank in (1, 5, 3)]
    pack = trained_pack(base, specs)
    input_ids = torch.randint(0, 300, (2, 10), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = base.model(input_ids).logits
        with pack.attach(base.model):
            ours = base.model(input_ids.repeat(3, 1)).logits.view(3, 2, 10, -1)
        assert torch.equal(base.model(input_ids).logits, plain)
        for n in range(3):
            pack.export(n, tmp_path / str(n))
            peft = PeftModel.from_pretrained(random_base(model_type).model, str(tmp_path / str(n)))
            torch.testing.assert_close(peft(input_ids).logits, ours[n], atol=1e-5, rtol=1e-5)
            assert (ours[n] - plain).abs().max() > 1e-2


def test_block_placement_adds_the_adapter_to_the_whole_blocks_output():
    base = random_base()
    one = spec("lora.rank=2", "lora.placement=block", "lora.scaling=constant", "lora.lora_alpha=3")
    pack = trained_pack(base, [one])
    (stack,) = pack.stacks
    assert stack.target == Target("model.layers.2.mlp", 32, 32, 2)
    x = torch.randn(1, 7, 32)
    block = base.model.model.layers[2].mlp
    with torch.no_grad():
        expected = block(x) + 3 * (x @ stack.A_NRI[0].T) @ stack.B_NOR[0].T
        pack.attach(base.model)
        torch.testing.assert_close(block(x), expected)


def test_the_initial_weights_are_the_cells_own():
    target = Target("model.layers.2.mlp.down_proj", 48, 32, 2)
    one, other = spec("lora.rank=4"), spec("lora.rank=2")
    A = initial_A(target, one)
    assert torch.equal(A[:2], initial_A(target, other))
    assert not torch.equal(A, initial_A(target, spec("lora.rank=4", seed=1)))
    assert A.abs().max() <= 1 / math.sqrt(48)
    assert A.std() == pytest.approx(1 / math.sqrt(3 * 48), rel=0.15)
    stack = AdapterStack(target, [one, other])
    assert torch.equal(stack.A_NRI[1, 2:], torch.zeros(2, 48))
    assert not stack.B_NOR.any()


def test_keeping_some_cells_crops_parameters_and_optimizer_state():
    target = Target("m", 6, 5, 0)
    pack = LoraPack([target], [spec(f"lora.rank={rank}", seed=rank) for rank in (4, 2, 1)])
    optimizer = torch.optim.AdamW(pack.parameters(), lr=0.1)
    sum((parameter**2).sum() for parameter in pack.parameters()).backward()
    optimizer.step()
    stack = pack.stacks[0]
    before = stack.A_NRI[1:, :2].detach().clone()
    moments = optimizer.state[stack.A_NRI]["exp_avg"][1:, :2].clone()
    pack.keep(torch.tensor([1, 2]), optimizer)
    assert stack.A_NRI.shape == (2, 2, 6)
    assert stack.B_NOR.shape == (2, 5, 2)
    assert torch.equal(stack.A_NRI, before)
    assert torch.equal(optimizer.state[stack.A_NRI]["exp_avg"], moments)
    assert [one.rank for one in pack.specs] == stack.ranks == [2, 1]
    assert pack.trainable_parameters(0) == 2 * (6 + 5)


@pytest.mark.parametrize(("scaling", "scale"), [("constant", 32.0), ("rslora", 16.0), ("classic", 8.0)])
def test_scaling_policies(scaling: str, scale: float):
    assert spec("lora.rank=4", f"lora.scaling={scaling}").scale == scale


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(None, None), ([0.667], [20]), ([-1, 3], [3, 29]), ([0.5, 15], [15]), ([0], [0])],
)
def test_layers_are_indices_or_fractions_of_depth(layers, expected):
    assert layer_indices(layers, 30) == expected


def test_two_thirds_of_depth_is_the_papers_layer():
    assert layer_indices([0.667], 36) == [24]


@pytest.mark.parametrize("layer", [30, -31, 1.0, 1.5, -0.5])
def test_layers_outside_the_model_are_refused(layer):
    with pytest.raises(ConfigError, match=r"lora\.layers.*-30 to 29"):
        layer_indices([layer], 30)


def test_targets_follow_pefts_rules():
    config = random_base().model.config
    assert len(resolve_targets(config, spec("lora.target_modules=all-linear", "lora.layers=null"))) == 4 * 7
    regex = spec(r"lora.target_modules='.*\.(q|v)_proj'", "lora.layers=null")
    assert [target.name for target in resolve_targets(config, regex)][:2] == [
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.v_proj",
    ]
    assert {target.layer for target in resolve_targets(config, spec("lora.layers=[1,-1]"))} == {1, 3}


@pytest.mark.parametrize(
    "overrides",
    [
        ["lora.target_modules=[nothing]"],
        ["lora.target_modules=[mlp]"],
        ["lora.target_modules='.*down_proj'"],
        ["lora.placement=block", "lora.block_modules=[nothing]"],
    ],
)
def test_targets_that_match_nothing_usable_list_what_the_model_has(overrides: list[str]):
    with pytest.raises(ConfigError, match=r"(?s)lora\.(target|block)_modules=.*down_proj"):
        resolve_targets(random_base().model.config, spec(*overrides))


def test_targets_outside_the_layers_are_refused():
    with pytest.raises(ConfigError, match="lm_head, which is not in the decoder's layers"):
        resolve_targets(random_base().model.config, spec("lora.target_modules=[lm_head]", "lora.layers=null"))


@pytest.mark.parametrize("override", ["lora.rank=0", "lora.rank=1.5", "lora.scaling=none", "lora.placement=head"])
def test_impossible_values_name_their_key(override: str):
    with pytest.raises(ConfigError, match=override.split("=")[0].replace(".", r"\.")):
        spec(override)
