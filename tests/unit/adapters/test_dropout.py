"""The dropped values of a cell are its own: the same in any pack, at any time."""

import pytest
import torch
from helpers.models import random_base, spec

from memlaw.adapters.dropout import Dropout
from memlaw.adapters.stack import LoraPack
from memlaw.adapters.targets import resolve_targets

CPU = torch.device("cpu")


def dropped(seeds: list[int], row_tokens: list[int], tokens: int, step: int = 3, module: str = "m") -> torch.Tensor:
    """Rows of two per cell, [N, 2, T, 5]."""
    shape = torch.Size((len(seeds), 2 * tokens, 5))
    return Dropout(0.3, seeds, row_tokens, 2, step).dropped(module, shape, CPU).view(len(seeds), 2, tokens, 5)


def test_a_cell_in_a_pack_with_longer_rows_drops_what_it_drops_alone():
    alone, together = dropped([4], [6], 6)[0], dropped([1, 4, 9], [8, 6, 7], 8)
    assert torch.equal(together[1, :, :6], alone)
    assert not together[1, :, 6:].any()


def test_each_cell_step_and_module_drops_other_values():
    drawn = [dropped([4], [99], 99), dropped([5], [99], 99), dropped([4], [99], 99, step=4),
             dropped([4], [99], 99, module="n")]  # fmt: skip
    for first in range(4):
        for second in range(first):
            assert 0.35 < (drawn[first] != drawn[second]).float().mean() < 0.49  # 0.42 for independent ones
        assert drawn[first].float().mean() == pytest.approx(0.3, abs=0.05)


def test_values_that_stay_make_up_for_those_that_are_dropped():
    output_NSO = torch.ones(1, 400, 100)
    left = Dropout(0.2, [0], [400], 1, 0)(output_NSO, "m")
    assert left.unique().tolist() == pytest.approx([0, 1.25])
    assert left.mean() == pytest.approx(1, abs=0.01)


def pack_of(seeds: list[int], *overrides: str) -> LoraPack:
    specs = [spec("lora.rank=2", "lora.placement=block", "lora.dropout=0.5", *overrides, seed=seed) for seed in seeds]
    pack = LoraPack(resolve_targets(random_base().model, specs[0]), specs)
    with torch.no_grad():
        for stack in pack.stacks:
            stack.B_NOR.fill_(1.0)
    return pack


def added(pack: LoraPack, cells: int, dropping: bool, rows: int = 2) -> torch.Tensor:
    """What the adapters add to each cell's output, [N, rows·7, 32]."""
    (stack,) = pack.stacks
    x = torch.linspace(-1, 1, 7 * 32).view(1, 7, 32).expand(cells * rows, 7, 32)
    if not dropping:
        return stack.hook(None, (x,), torch.zeros(cells * rows, 7, 32)).view(cells, -1, 32)
    with pack.dropping(5, rows, [7] * cells):
        return stack.hook(None, (x,), torch.zeros(cells * rows, 7, 32)).view(cells, -1, 32)


def test_values_are_dropped_inside_a_step_and_never_outside():
    pack = pack_of([0, 1])
    plain, first, after = added(pack, 2, False), added(pack, 2, True), added(pack, 2, False)
    assert torch.equal(plain, after) and plain.all()
    assert ((first == 0) | torch.isclose(first, 2 * plain)).all()
    assert 0.4 < (first == 0).float().mean() < 0.6


def test_cells_that_leave_change_nothing_for_the_others():
    pack = pack_of([3, 4, 5])
    before = added(pack, 3, True)
    pack.keep([1], torch.optim.AdamW(pack.parameters()))
    assert torch.equal(added(pack, 1, True)[0], before[1])


def test_experts_flatten_rows_and_drop_the_same():
    pack = pack_of([3])
    (stack,) = pack.stacks
    x, flat = torch.ones(2, 7, 32), torch.ones(14, 32)
    with pack.dropping(5, 2, [7]):
        assert torch.equal(stack.hook(None, (x,), x).view(14, 32), stack.hook(None, (flat,), flat))


def test_without_dropout_a_step_is_as_outside():
    pack = pack_of([0], "lora.dropout=0.0")
    assert torch.equal(added(pack, 1, True), added(pack, 1, False))
