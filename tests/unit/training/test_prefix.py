import contextlib
import logging

import pytest
import torch
from helpers.models import ARCHITECTURES, random_base, spec

from memlaw.adapters.targets import resolve_targets
from memlaw.models.anatomy import layers_path
from memlaw.training.prefix import Prefix
from memlaw.training.prefix_cache import cache_prefix
from memlaw.training.token_table import TokenTable

FIRST = 2


def names(base, *overrides: str, first: int = FIRST) -> list[str]:
    lora = spec(f"lora.layers=[{first}]", *overrides)
    return [target.name for target in resolve_targets(base.model, lora)]


def ids(rows: int, tokens: int) -> torch.Tensor:
    return torch.randint(0, 300, (rows, tokens), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model_type", ARCHITECTURES)
@pytest.mark.parametrize("kept", ["linear", "block", "input"])
@pytest.mark.parametrize("first", [1, 3])
def test_logits_from_the_cached_prefix_are_bit_identical(model_type: str, kept: str, first: int):
    base = random_base(model_type)
    block = "self_attn" if model_type == "opt" else "mlp"  # OPT's layers have no module around their MLP
    placement = "block" if kept == "block" else "linear"
    adapted = names(base, f"lora.placement={placement}", f"lora.block_modules=[{block}]", first=first)
    prefix = Prefix(base.model, first, adapted)
    if kept == "input":
        prefix.forget_inside()
    input_ids = ids(3, 20)
    with torch.no_grad():
        expected = base.model(input_ids).logits
        values = prefix.run(input_ids, batch_rows=3)
        with prefix.replaced():
            prefix.feed(values)
            cached = base.model(input_ids).logits
        restored = base.model(input_ids).logits
    assert torch.equal(cached, expected)
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
    runs = _runs(base, Prefix(base.model, FIRST, names(base, f"lora.placement={placement}")), ids(1, 8))
    assert runs
    assert {name.split(".")[0] for name in runs} == {"3"}


def test_an_adapter_before_the_attention_output_leaves_the_rest_of_its_layer_to_run():
    base = random_base()
    adapted = names(base, "lora.target_modules=[v_proj,down_proj]")
    prefix, input_ids = Prefix(base.model, FIRST, adapted), ids(2, 9)
    with torch.no_grad():
        expected, values = base.model(input_ids).logits, prefix.run(input_ids, batch_rows=2)
        with prefix.replaced():
            prefix.feed(values)
            assert torch.equal(base.model(input_ids).logits, expected)
    runs = _runs(base, Prefix(base.model, FIRST, adapted), ids(1, 8))
    inside = {name for name in runs if name.startswith("2.")}
    assert inside == {"2.self_attn.o_proj", "2.mlp.gate_proj", "2.mlp.up_proj", "2.mlp.down_proj"}


def test_an_exception_leaves_the_model_as_it_was():
    base = random_base()
    modules = list(base.model.modules())
    prefix = Prefix(base.model, FIRST, names(base))
    prefix.run(ids(1, 8), batch_rows=1)
    with contextlib.suppress(MemoryError), prefix.replaced():
        assert list(base.model.modules()) != modules
        raise MemoryError
    assert list(base.model.modules()) == modules


def test_running_the_prefix_stops_at_the_first_adapter():
    base = random_base()
    runs = []
    base.model.model.layers[3].register_forward_hook(lambda *_: runs.append("suffix"))
    prefix = Prefix(base.model, FIRST, names(base, "lora.placement=block"))
    hidden, attention, block = prefix.run(ids(5, 8), batch_rows=2)
    assert hidden.shape == attention.shape == block.shape == (5, 8, 32)
    assert not runs


def _table(rows: torch.Tensor) -> TokenTable:
    N = len(rows)
    return TokenTable((1,) * N, rows[:, None], torch.ones(N, 1, 1, dtype=torch.int64), torch.ones(N, 1, 1).bool())


def test_cells_with_the_same_rows_share_them():
    base = random_base()
    rows = ids(2, 12)[[0, 1, 0]]
    cache = cache_prefix(Prefix(base.model, FIRST, names(base)), _table(rows), 1, 1e9)
    assert cache is not None
    assert [len(value) for value in cache.values] == [2] * len(cache.values)
    assert cache.row_NP[0] == cache.row_NP[2] != cache.row_NP[1]


def test_a_small_budget_keeps_less_and_a_smaller_one_nothing(caplog):
    base = random_base()
    one_value = 4 * 12 * 32  # bytes of the input of a layer, for one row
    with caplog.at_level(logging.INFO):
        kept = [
            cache_prefix(Prefix(base.model, FIRST, names(base)), _table(ids(1, 12)), 1, budget)
            for budget in (1e9, one_value, one_value - 1)
        ]
    assert kept[0] is not None and kept[1] is not None
    assert len(kept[0].values) > 1
    assert len(kept[1].values) == 1
    assert kept[2] is None
    assert "it takes 1.54e-06 GB and may take 1.53e-06 (trainer.prefix_cache_gb)" in caplog.text


def test_dropout_below_the_adapter_is_refused(caplog):
    base = random_base("gpt2")
    base.model.transformer.h[0].train()
    with caplog.at_level(logging.INFO):
        assert cache_prefix(Prefix(base.model, FIRST, names(base)), _table(ids(1, 12)), 1, 1e9) is None
    assert "transformer.h.0 is in training mode, where it may drop out at random" in caplog.text


def test_a_model_whose_later_layers_look_back_is_refused(caplog, monkeypatch):
    base = random_base()
    layers = base.model.model.layers
    seen = {}
    layers[0].register_forward_hook(lambda _module, _args, output: seen.update(first=output))
    layers[3].register_forward_hook(lambda _module, _args, output: output + seen["first"])
    with caplog.at_level(logging.INFO):
        assert cache_prefix(Prefix(base.model, FIRST, names(base)), _table(ids(1, 12)), 1, 1e9) is None
    assert "later layers read more from the first layers than the output of the last of them" in caplog.text


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_layers_are_found(model_type: str):
    base = random_base(model_type)
    path = layers_path(base.model)
    assert path is not None
    assert len(list(base.model.get_submodule(path).children())) == 4
