"""The rank of adapted modules' inputs, against inputs that a plain forward of the model collects."""

import numpy as np
import pytest
import torch
from helpers.models import random_base, spec
from torch.nn.functional import cross_entropy

from memlaw.adapters.stack import LoraPack
from memlaw.adapters.targets import Target, resolve_targets
from memlaw.data.memory import Memory, Pair
from memlaw.models.base import BaseModel
from memlaw.training.input_rank import TOLERANCE, InputRank, _Span, effective_parameters, input_ranks
from memlaw.training.token_table import TokenTable

BASE = random_base()
DOWN = ("lora.target_modules=[down_proj]",)
FIXED, BOUND = True, False


def table(*pairs: tuple[tuple[int, ...], tuple[int, ...]]) -> TokenTable:
    return TokenTable.from_memories([Memory(tuple(Pair(query, target) for query, target in pairs))])


def ids(count: int, seed: int = 0) -> tuple[int, ...]:
    return tuple(np.random.default_rng(seed).integers(1, 300, count).tolist())


def ranks(rows: TokenTable, *overrides: str, base: BaseModel = BASE, batch_rows: int = 2) -> list[InputRank]:
    return input_ranks(base, resolve_targets(base.model, spec(*overrides)), rows, batch_rows)


def inputs_of(base: BaseModel, name: str, row: tuple[int, ...]) -> torch.Tensor:
    """The inputs of a module at every position of a row."""
    seen: list[torch.Tensor] = []
    hook = base.model.get_submodule(name).register_forward_pre_hook(lambda _module, args: seen.append(args[0][0]))
    base.model(torch.tensor([row]))
    hook.remove()
    return seen[0].double()


@pytest.mark.parametrize("length", [12, 40, 120])
def test_it_is_the_rank_of_the_inputs_before_the_last_token(length):
    query, target = ids(4), ids(length)
    X = inputs_of(BASE, "model.layers.2.mlp.down_proj", (query + target)[:-1])
    (found,) = ranks(table((query, target)), *DOWN)
    assert found == (np.linalg.matrix_rank(X.numpy()), FIXED)
    assert found.rank == min(length + 3, 48)


def test_directions_of_A_outside_the_inputs_get_no_gradient():
    row = ids(20)
    (target,) = resolve_targets(BASE.model, spec(*DOWN))
    X = inputs_of(BASE, target.name, row[:-1])
    k = ranks(table((row[:4], row[4:])), *DOWN)[0].rank
    assert k == 19 < target.in_features
    adapters = LoraPack([target], [spec(*DOWN, "lora.rank=3")])
    stack = adapters.stacks[0]
    torch.nn.init.normal_(stack.B_NOR)
    with adapters.attach(BASE.model):
        logits = BASE.model(torch.tensor([row])).logits[0]
        cross_entropy(logits[3:-1], torch.tensor(row[4:])).backward()
    _, _, V = torch.linalg.svd(X)
    along = (stack.A_NRI.grad[0].double() @ V.T).abs()
    assert along[:, k:].max() < 1e-6 * along.max()
    assert (along[:, :k].max(0).values > 1e-6 * along.max()).all()


def test_equal_beginnings_count_once_and_padding_not_at_all():
    pairs = [((1, 2, 3), (4, 5, 6)), ((1, 2, 3), (4, 5, 7)), ((1, 2), (9,)), ((1, 2, 3), (4,)), ((8,), (1, 2, 3, 4, 5))]
    beginnings = {(q + t)[: end + 1] for q, t in pairs for end in range(len(q + t) - 1)}
    assert len(beginnings) == 5 + 5
    for order in (pairs, pairs[::-1], [*pairs, pairs[0]]):
        assert ranks(table(*order), *DOWN) == [(10, FIXED)]
        assert ranks(table(*order), *DOWN, "lora.layers=[1,2]") == [(10, FIXED), (10, BOUND)]


def test_a_row_that_is_padded_like_a_longer_one_hides_none_of_its_inputs():
    assert ranks(table(((5, 6), (7,)), ((5, 6, 7, 0), (9,))), *DOWN) == [(4, FIXED)]


def test_repeated_tokens_repeat_the_inputs_of_the_first_attention():
    row = (7, 9, 9, 7, 9, 8, 5)
    assert ranks(table((row[:2], row[2:])), "lora.layers=[0]", "lora.target_modules=[q_proj]") == [(3, FIXED)]
    assert ranks(table((row[:2], row[2:])), "lora.layers=[0]", *DOWN) == [(6, FIXED)]


@pytest.mark.parametrize("batch_rows", [1, 3, 64])
def test_rows_of_a_batch_do_not_matter(batch_rows):
    rows = table(*((ids(3, seed), ids(2 + seed, seed + 50)) for seed in range(9)))
    assert ranks(rows, *DOWN, batch_rows=batch_rows) == [(48, FIXED)]
    assert ranks(rows, "lora.placement=block", batch_rows=batch_rows) == [(32, FIXED)]


def test_rounded_activations_count_with_their_own_values():
    base = random_base(dtype=torch.bfloat16)
    assert ranks(table((ids(4), ids(30))), *DOWN, base=base) == [(33, FIXED)]


def test_only_inputs_that_no_adapter_can_change_are_measured():
    every = "lora.target_modules=[q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj]"
    found = ranks(table((ids(4), ids(9))), every)
    assert [rank.measured for rank in found] == [FIXED] * 3 + [BOUND] * 4
    assert {rank.rank for rank in found} == {12}
    parallel = random_base("gpt_neox")
    both = "lora.target_modules=[dense,dense_4h_to_h]"
    assert ranks(table((ids(4), ids(9))), both, base=parallel) == [(12, FIXED), (12, FIXED)]


def test_a_model_that_is_not_finite_has_a_rank_all_the_same():
    base = random_base()
    base.model.model.layers[0].mlp.down_proj.weight.fill_(torch.nan)
    assert ranks(table((ids(4), ids(9))), *DOWN, base=base) == [(0, FIXED)]


def test_the_model_is_left_as_it_was():
    rows, modules = torch.tensor([ids(9)]), list(BASE.model.modules())
    before = BASE.model(rows).logits
    ranks(table((ids(4), ids(9))), "lora.layers=[1,2]")
    assert list(BASE.model.modules()) == modules
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    assert torch.equal(BASE.model(rows).logits, before) and not before.requires_grad


@pytest.mark.parametrize("inputs", [6, 4000], ids=["fewer inputs than features", "more"])
@pytest.mark.parametrize(("component", "rank"), [(10 * TOLERANCE, 3), (TOLERANCE / 10, 2), (0.0, 2)])
def test_a_direction_counts_from_the_tolerance_on_whatever_the_size_of_the_inputs(inputs, component, rank):
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(inputs, 3, generator=generator, dtype=torch.float64)
    unit = torch.nn.functional.normalize(drawn[:, :2], dim=1)
    third = component * drawn[:, 2:].sign()  # root mean square: the component itself
    basis, _ = torch.linalg.qr(torch.randn(20, 3, generator=generator, dtype=torch.float64))
    X = torch.cat([unit, third], 1) @ basis.T
    X[0] *= 1e6  # a massive activation
    X[1:3] *= 1e-6
    span = _Span(inputs, 20)
    for part in X.split(1500):
        span.add(part)
    assert span.rank() == rank


def test_the_columns_sum_over_modules_and_name_a_rank_for_one_alone():
    one, two = Target("a", 100, 10, 2), Target("b", 30, 20, 3)
    first = 2 * (10 + 7 - 2)
    assert effective_parameters(2, [one], [InputRank(7, FIXED)]) == {"input_rank": 7, "effective_parameters": first}
    assert effective_parameters(2, [one], [InputRank(7, BOUND)]) == {"input_rank": None, "effective_parameters": first}
    assert effective_parameters(2, [one, two], [InputRank(7, FIXED), InputRank(8, FIXED)]) == {
        "input_rank": None,
        "effective_parameters": first + 2 * (20 + 8 - 2),
    }
