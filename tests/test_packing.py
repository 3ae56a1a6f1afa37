from dataclasses import replace
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from memlaw.packing import Sizes, cell_bytes, make_packs, pack_key

SIZES = Sizes(
    rows=1, positions=100, all_rows=1, hidden=64, intermediate=128, suffix_layers=2,
    adapter_parameters=1000, value_bytes=4,
)  # fmt: skip


def test_cells_that_differ_in_rank_seed_scale_or_ratio_train_together(tiny):
    keys = {
        pack_key(tiny(*overrides)[0])
        for overrides in (
            [], ["lora.rank=2"], ["seed=3"], ["lora.scaling=rslora"], ["lora.lora_alpha=1"], ["data.random_ratio=0.5"],
        )
    }  # fmt: skip
    assert len(keys) == 1


def test_cells_that_need_another_loop_do_not(tiny):
    for override in ("seq_len=9", "optimizer.lr=1", "steps=9", "lora.layers=[0]", "precision=bf16", "data=phonebook"):
        assert pack_key(tiny(override)[0]) != pack_key(tiny()[0])


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(1, 200), st.integers(1, 6))
def test_packs_hold_every_cell_once_within_the_budget(sizes, budget, max_cells):
    cells = list(range(len(sizes)))
    with patch("memlaw.packing.pack_key", lambda cell: str(cell % 2)), patch("memlaw.packing._model_key", str):
        packs = make_packs(cells, sizes, [budget] * len(cells), max_cells)
    assert sorted(cell for pack in packs for cell in pack) == cells
    for pack in packs:
        assert len({cell % 2 for cell in pack}) == 1
        assert len(pack) <= max_cells
        assert len(pack) == 1 or sum(sizes[cell] for cell in pack) <= budget


def test_packs_of_one_model_follow_each_other(tiny):
    cells = [tiny(f"model.sizes.hidden_size={size}", f"seq_len={length}")[0] for length in (8, 16) for size in (32, 64)]
    packs = make_packs(cells, [1] * 4, [10] * 4, 10)
    assert [pack[0].config.model.sizes.hidden_size for pack in packs] == [32, 32, 64, 64]


def test_memory_grows_with_everything_it_depends_on():
    for field in ("rows", "positions", "hidden", "intermediate", "suffix_layers", "adapter_parameters"):
        assert cell_bytes(replace(SIZES, **{field: 2 * getattr(SIZES, field)})) > cell_bytes(SIZES)
