import pytest

from memlaw.errors import ConfigError
from memlaw.plan import plan_packs


def test_cells_are_packed_by_length_and_split_by_memory(tiny):
    made = [tiny(f"seq_len={length}", f"lora.rank={rank}") for length in (16, 32) for rank in (1, 2, 3)]
    cells, cfg = [cell for cell, _ in made], made[0][1]
    assert [len(pack) for pack in plan_packs(cells, cfg, workers=1)] == [3, 3]
    cfg.pack.max_cells = 2
    assert [len(pack) for pack in plan_packs(cells, cfg, workers=1)] == [2, 1, 2, 1]
    cfg.pack.memory_gb = 1e-6
    assert [len(pack) for pack in plan_packs(cells, cfg, workers=1)] == [1] * 6


@pytest.mark.parametrize(("key", "value"), [("max_cells", 0), ("memory_gb", -1), ("memory_gb", "much")])
def test_impossible_settings_name_their_key(tiny, key: str, value):
    cell, cfg = tiny()
    cfg.pack[key] = value
    with pytest.raises(ConfigError, match=rf"pack\.{key}={value}"):
        plan_packs([cell], cfg, workers=1)


def test_one_impossible_cell_refuses_the_whole_sweep(tiny):
    good, cfg = tiny()
    bad, _ = tiny("lora.layers=[7]")
    with pytest.raises(ConfigError, match=r"lora\.layers: 7"):
        plan_packs([good, bad], cfg, workers=1)
    assert not good.paths.directory.exists()
