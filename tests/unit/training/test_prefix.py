import contextlib

import pytest
import torch
from helpers.models import ARCHITECTURES, random_base
from helpers.prefixes import FIRST, adapted_names, random_ids

from memlaw.training.prefix import Prefix


@pytest.mark.parametrize(
    ("model_type", "cached", "first"),
    [*((model_type, "linear", 3) for model_type in ARCHITECTURES), ("llama", "block", 1), ("llama", "input", 1)],
)
def test_logits_from_the_cached_prefix_are_bit_identical(model_type: str, cached: str, first: int):
    base = random_base(model_type)
    placement = "block" if cached == "block" else "linear"
    prefix = Prefix(base.model, first, adapted_names(base, f"lora.placement={placement}", first=first))
    if cached == "input":
        prefix.forget_inside()
    input_ids = random_ids(3, 20)
    with torch.no_grad():
        expected = base.model(input_ids).logits
        values = prefix.run(input_ids, batch_rows=3)
        with prefix.replaced():
            prefix.feed(values)
            fed = base.model(input_ids).logits
        restored = base.model(input_ids).logits
    assert torch.equal(fed, expected)
    assert torch.equal(restored, expected)


def _runs(base, prefix: Prefix, input_ids: torch.Tensor) -> list[str]:
    """The modules with weights that run when the prefix is cached."""
    values = prefix.run(input_ids, batch_rows=1)
    runs = []
    for name, module in base.model.model.layers.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(lambda *_, name=name: runs.append(name))
    with torch.no_grad(), prefix.replaced():
        prefix.feed(values)
        base.model(input_ids)
    return runs


@pytest.mark.parametrize("placement", ["linear", "block"])
def test_only_what_follows_the_first_adapter_runs(placement: str):
    base = random_base()
    runs = _runs(base, Prefix(base.model, FIRST, adapted_names(base, f"lora.placement={placement}")), random_ids(1, 8))
    assert runs
    assert {name.split(".")[0] for name in runs} == {"3"}


def test_an_adapter_before_the_attention_output_leaves_the_rest_of_its_layer_to_run():
    base = random_base()
    adapted = adapted_names(base, "lora.target_modules=[v_proj,down_proj]")
    prefix, input_ids = Prefix(base.model, FIRST, adapted), random_ids(2, 9)
    with torch.no_grad():
        expected, values = base.model(input_ids).logits, prefix.run(input_ids, batch_rows=2)
        with prefix.replaced():
            prefix.feed(values)
            assert torch.equal(base.model(input_ids).logits, expected)
    runs = _runs(base, Prefix(base.model, FIRST, adapted), random_ids(1, 8))
    inside = {name for name in runs if name.startswith("2.")}
    assert inside == {"2.self_attn.o_proj", "2.mlp.gate_proj", "2.mlp.up_proj", "2.mlp.down_proj"}


def test_an_exception_leaves_the_model_as_it_was():
    base = random_base()
    modules = list(base.model.modules())
    prefix = Prefix(base.model, FIRST, adapted_names(base))
    prefix.run(random_ids(1, 8), batch_rows=1)
    with contextlib.suppress(MemoryError), prefix.replaced():
        assert list(base.model.modules()) != modules
        raise MemoryError
    assert list(base.model.modules()) == modules


def test_running_the_prefix_stops_at_the_first_adapter():
    base = random_base()
    runs = []
    base.model.model.layers[3].register_forward_hook(lambda *_: runs.append("suffix"))
    prefix = Prefix(base.model, FIRST, adapted_names(base, "lora.placement=block"))
    hidden, attention, block = prefix.run(random_ids(5, 8), batch_rows=2)
    assert hidden.shape == attention.shape == block.shape == (5, 8, 32)
    assert not runs
