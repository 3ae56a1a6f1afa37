import math
from pathlib import Path

import pytest
import torch
from helpers.models import ARCHITECTURES, random_base, spec
from peft import PeftModel
from safetensors.torch import load_file

from memlaw.adapters.spec import LoraSpec
from memlaw.adapters.stack import AdapterStack, LoraPack, initial_weights
from memlaw.adapters.targets import Target, resolve_targets


def trained_pack(base, specs: list[LoraSpec]) -> LoraPack:
    """A pack whose B are no longer zero."""
    pack = LoraPack(resolve_targets(base.model, specs[0]), specs)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for stack in pack.stacks:
            for n, one in enumerate(specs):
                shape = stack.B_NOR[n, :, : one.rank].shape
                stack.B_NOR[n, :, : one.rank] = torch.randn(shape, generator=generator) * 0.1
    return pack


@pytest.mark.parametrize(
    ("model_type", "scaling", "exported"),
    [
        *((model_type, "rslora", [1]) for model_type in ARCHITECTURES),
        ("llama", "constant", [0, 1, 2]),
        ("llama", "classic", [0, 2]),
    ],
)
def test_an_exported_cell_gives_the_same_logits_in_peft(model_type: str, scaling: str, exported, tmp_path: Path):
    base = random_base(model_type)
    specs = [spec(f"lora.rank={rank}", f"lora.scaling={scaling}", "lora.lora_alpha=4") for rank in (1, 5, 3)]
    pack = trained_pack(base, specs)
    input_ids = torch.randint(0, 300, (2, 10), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        plain = base.model(input_ids).logits
        with pack.attach(base.model):
            ours = base.model(input_ids.repeat(3, 1)).logits.view(3, 2, 10, -1)
        assert torch.equal(base.model(input_ids).logits, plain)
        for n in exported:
            pack.export(n, tmp_path / str(n))
            peft = PeftModel.from_pretrained(random_base(model_type).model, str(tmp_path / str(n)))
            torch.testing.assert_close(peft(input_ids).logits, ours[n], atol=1e-5, rtol=1e-5)
            assert (ours[n] - plain).abs().max() > 1e-2


def test_a_cell_in_bf16_is_exported_as_it_is(tmp_path: Path):
    base = random_base()
    options = ("lora.dtype=bf16", "lora.scaling=constant", "lora.lora_alpha=1")
    pack = trained_pack(base, [spec(f"lora.rank={rank}", *options) for rank in (1, 5, 3)])
    input_ids = torch.randint(0, 300, (2, 10), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        with pack.attach(base.model):
            ours = base.model(input_ids.repeat(3, 1)).logits.view(3, 2, 10, -1)
        for n in range(3):
            pack.export(n, tmp_path / str(n))
            tensors = load_file(tmp_path / str(n) / "adapter_model.safetensors")
            assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
            assert all(torch.equal(tensor, pack.peft_tensors(n)[name]) for name, tensor in tensors.items())
            peft = PeftModel.from_pretrained(random_base().model, str(tmp_path / str(n)))
            torch.testing.assert_close(peft(input_ids).logits, ours[n], atol=0.02, rtol=0)  # PEFT computes in fp32


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
    A = initial_weights(target, one)[0]
    assert torch.equal(A[:2], initial_weights(target, other)[0])
    assert not torch.equal(A, initial_weights(target, spec("lora.rank=4", seed=1))[0])
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
    pack.keep([1, 2], optimizer)
    assert stack.A_NRI.shape == (2, 2, 6)
    assert stack.B_NOR.shape == (2, 5, 2)
    assert torch.equal(stack.A_NRI, before)
    assert torch.equal(optimizer.state[stack.A_NRI]["exp_avg"], moments)
    assert [one.rank for one in pack.specs] == stack.ranks == [2, 1]
    assert pack.trainable_parameters(0) == 2 * (6 + 5)
