from dataclasses import replace
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from memlaw.planning.packing import make_packs, pack_bytes, pack_key
from memlaw.planning.planned import PlannedCell
from memlaw.planning.sizes import Sizes

SIZES = Sizes(
    rows_key="one", rows=1, positions=100, all_rows=1, scored=80, hidden=64, intermediate=128, vocabulary=500, layers=6,
    first_layer=4, layer_parameters=40_000, parameters_after=0, attention=64, adapter_parameters=1000,
    adapter_inputs=128, adapter_bytes=4, dropout_outputs=0, evaluations=0, cached="inside", cached_inside=384,
    value_bytes=4,
)  # fmt: skip


BASE_BYTES = 5000


def planned(cell: Any, sizes: Sizes) -> PlannedCell:
    return PlannedCell(cell, sizes, total_steps=10, base_bytes=BASE_BYTES)


def test_cells_that_differ_in_rank_seed_scale_or_ratio_train_together(tiny):
    keys = {
        pack_key(tiny(*overrides)[0])
        for overrides in (
            [], ["lora.rank=2"], ["seed=3"], ["lora.scaling=rslora"], ["lora.lora_alpha=1"], ["data.random_ratio=0.5"],
            ["lora.init=paper"], ["method=memft_sw"],
        )
    }  # fmt: skip
    assert len(keys) == 1


def test_cells_that_need_another_loop_do_not(tiny):
    loops = ("seq_len=9", "optimizer.lr=1", "steps=9", "lora.layers=[0]", "precision=bf16", "data=phonebook")
    for override in (*loops, "lora.dtype=bf16", "lora.dropout=0.1"):
        assert pack_key(tiny(override)[0]) != pack_key(tiny()[0])


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 200), st.integers(1, 6))
def test_packs_hold_every_cell_once_within_the_budget(positions, budget, max_cells):
    cells = [planned(number, replace(SIZES, positions=count)) for number, count in enumerate(positions)]
    with (
        patch("memlaw.planning.packing.pack_key", lambda cell: str(cell % 2)),
        patch("memlaw.planning.packing._model_key", str),
    ):
        packs = make_packs(cells, budget_bytes=budget * 10_000 + BASE_BYTES, max_cells=max_cells, chunk_bytes=0)
    assert sorted((member for pack in packs for member in pack), key=lambda member: member.cell) == cells
    for pack in packs:
        assert len({member.cell % 2 for member in pack}) == 1
        assert len(pack) <= max_cells
        assert len(pack) == 1 or pack_bytes([member.sizes for member in pack], 0) <= budget * 10_000


def test_packs_of_one_model_follow_each_other(tiny):
    cells = [tiny(f"model.sizes.hidden_size={size}", f"seq_len={length}")[0] for length in (8, 16) for size in (32, 64)]
    packs = make_packs([planned(cell, SIZES) for cell in cells], budget_bytes=10**9, max_cells=10, chunk_bytes=0)
    assert [pack[0].cell.config.model.sizes.hidden_size for pack in packs] == [32, 32, 64, 64]


def test_adapters_are_padded_to_the_largest_rank_of_a_pack():
    large = replace(SIZES, adapter_parameters=64_000)
    mixed, alone = pack_bytes([SIZES, large], 0), pack_bytes([SIZES], 0)
    assert mixed - alone == pack_bytes([large, large], 0) - pack_bytes([large], 0) + 16 * 63_000


def test_adapters_in_bf16_take_half_and_dropout_a_byte_per_value():
    small, dropping = replace(SIZES, adapter_bytes=2), replace(SIZES, dropout_outputs=64)
    saved = 2 * (4 * SIZES.adapter_parameters + SIZES.positions * SIZES.adapter_inputs)
    assert pack_bytes([SIZES], 0) - pack_bytes([small], 0) == saved
    assert pack_bytes([dropping], 0) - pack_bytes([SIZES], 0) == SIZES.positions * 64


def test_cells_with_the_same_rows_share_their_prefix():
    other = replace(SIZES, rows_key="another")
    prefix = SIZES.positions * (SIZES.hidden + SIZES.cached_inside) * 4
    assert pack_bytes([SIZES, other], 0) - pack_bytes([SIZES, SIZES], 0) == prefix
    no_prefix = replace(SIZES, cached="none")
    assert pack_bytes([no_prefix, replace(other, cached="none")], 0) == pack_bytes([no_prefix] * 2, 0)
