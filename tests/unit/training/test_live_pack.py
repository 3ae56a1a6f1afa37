"""A cell that leaves a pack leaves all of its parts, and the others stay as they are."""

import torch
from helpers.methods import sliding
from helpers.models import random_base, spec
from hypothesis import given, settings
from hypothesis import strategies as st

from memlaw.adapters.stack import LoraPack
from memlaw.adapters.targets import resolve_targets
from memlaw.data.memory import Memory, Pair
from memlaw.methods.curriculum import WHOLE
from memlaw.methods.memft import BatchLosses, OnlyThreshold, Plain
from memlaw.methods.weighting import Weighting
from memlaw.methods.window import Window
from memlaw.training.live_pack import LivePack
from memlaw.training.prefix import Prefix
from memlaw.training.prefix_cache import cache_prefix
from memlaw.training.row_order import RowOrder, row_stream
from memlaw.training.token_table import TokenTable
from memlaw.training.whole_model import WholeModel

BASE = random_base()
RANKS = (4, 1, 3, 2)
METHODS = (Plain("sft"), sliding(), OnlyThreshold("ot", 0.5, "zero"), Plain("sft"))
MEMORIES = [Memory(tuple(Pair((n + 1,), (10 + p, 20 + n)) for p in range(4 - n % 2))) for n in range(4)]


def packed() -> tuple[LivePack, torch.optim.Optimizer]:
    """A pack of four cells, each with another state in every part, and the optimizer of their adapters."""
    specs = [spec(f"lora.rank={rank}", "lora.scaling=rslora", seed=n) for n, rank in enumerate(RANKS)]
    targets = resolve_targets(BASE.model, specs[0])
    table = TokenTable.from_memories(MEMORIES)
    adapters = LoraPack(targets, specs)
    optimizer = torch.optim.AdamW(adapters.parameters())
    weighting = Weighting(METHODS, 4)
    for n in range(4):
        weighting.window[n] = Window(torch.tensor(n), torch.tensor(n), torch.tensor(float(n)))
    for parameter in adapters.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return LivePack(
        cells=list("abcd"),
        steps=range(9),
        adapters=adapters,
        table=table,
        weighting=weighting,
        order=RowOrder([row_stream(3, n, WHOLE, 3) for n in range(4)], range(9)),
        prefix=cache_prefix(Prefix(BASE.model, 2, [target.name for target in targets]), table, 2, 1e9),
    ), optimizer


def content(pack: LivePack, optimizer: torch.optim.Optimizer) -> list[dict]:
    """What the parts hold of each cell, padding of its adapter left out."""
    assert pack.prefix is not None
    N, rows = len(pack.cells), next(iter(pack.order)).tolist() if pack.cells else []
    losses = BatchLosses(torch.full((N, 1, 3), 0.5), torch.zeros(N, 1, 3).bool(), torch.ones(N, 1, 3).bool())
    weights = pack.weighting(losses, torch.zeros(N, 1, dtype=torch.long), advance=False).tolist()
    parts = {
        "cell": pack.cells,
        "spec": pack.adapters.specs,
        "scale": pack.adapters.stacks[0].scale_N.tolist(),
        "pairs": pack.table.pairs,
        "ids": pack.table.input_ids_NPT.tolist(),
        "method": pack.weighting.methods,
        "weights": weights,
        "rows": rows,
        "hidden": [[value[row_P].tolist() for value in pack.prefix.values] for row_P in pack.prefix.row_NP],
        "state": [{name: value.tolist() for name, value in pack.state(n, optimizer).items()} for n in range(N)],
    }
    assert {name: len(values) for name, values in parts.items()} == dict.fromkeys(parts, N)
    return [dict(zip(parts, values, strict=True)) for values in zip(*parts.values(), strict=True)]


@settings(max_examples=20)
@given(st.lists(st.sets(st.integers(0, 3)), min_size=1, max_size=2))
def test_after_dropping_any_cells_every_part_holds_exactly_the_others_unchanged(rounds):
    everything = content(*packed())
    pack, optimizer = packed()
    left = [0, 1, 2, 3]
    for stay in rounds:
        kept = [place for place, n in enumerate(left) if n in stay]
        left = [left[place] for place in kept]
        pack.keep(kept, optimizer)
    assert content(pack, optimizer) == [everything[n] for n in left]
    assert all(stack.A_NRI.shape[1] == max((RANKS[n] for n in left), default=0) for stack in pack.adapters.stacks)


def test_within_an_attached_pack_its_adapters_act_and_afterwards_the_model_is_as_it_was():
    pack, _ = packed()
    ids = torch.arange(8).view(1, 8).expand(4, 8)
    before, modules = BASE.model(ids).logits, list(BASE.model.modules())
    with pack.attached(BASE), WholeModel(BASE.model, pack.adapters, pack.frozen).restored():
        assert torch.equal(BASE.model(ids).logits, before)
    with pack.attached(BASE):
        assert list(BASE.model.modules()) != modules
        assert pack.prefix is not None
        pack.prefix.feed(torch.arange(4)[:, None], torch.zeros(4, 1, dtype=torch.long))
        adapted = BASE.model(ids[:, :3]).logits
    assert not torch.equal(adapted[0], adapted[3])
    assert list(BASE.model.modules()) == modules
    assert torch.equal(BASE.model(ids).logits, before)
