import pytest

from memlaw.checks import check_cell, check_length, resolve_cell
from memlaw.errors import ConfigError

IMPOSSIBLE = {
    "seq_len=0": "seq_len=0 is not a whole number of at least 1",
    "seq_len=many": "seq_len=many",
    "batch_size=0": "batch_size=0",
    "seed=-1": "seed=-1",
    "steps=null": "give either steps or epochs",
    "epochs=3": "give either steps or epochs",
    "steps=0": "steps=0",
    "stop.p_above=2": "stop.p_above=2",
    "optimizer.betas=[0.9]": "optimizer.betas=[0.9]",
    "optimizer.weight_decay=-1": "optimizer.weight_decay=-1",
    "optimizer.lr=fast": "optimizer.lr=fast is not a number above 0",
    "optimizer.lr=-1": "optimizer.lr=-1",
    "optimizer.lr=inf": "optimizer.lr=inf",
    "optimizer.clip_norm=0": "optimizer.clip_norm=0",
    "lora.rank=0": "lora.rank=0",
    "lora.lora_alpha=0": "lora.lora_alpha=0",
    "precision=fp8": "precision=fp8 is not one of auto, fp32, bf16",
    "data.random_ratio=2": "data.random_ratio=2",
    "stop.every=0": "stop.every=0",
    "eval.per_decade=0": "eval.per_decade=0",
    "+data.typo=1": "typo",
}


@pytest.mark.parametrize("override", IMPOSSIBLE)
def test_impossible_values_name_their_key(tiny, override: str):
    cell, _ = tiny(override)
    with pytest.raises(ConfigError) as caught:
        check_cell(cell)
    assert IMPOSSIBLE[override] in str(caught.value)


def test_a_possible_cell_passes_and_resolves(tiny):
    cell, _ = tiny()
    check_cell(cell)
    config, targets = resolve_cell(cell)
    assert config.hidden_size == 64
    assert [target.name for target in targets] == ["model.layers.1.mlp.down_proj"]


def test_a_length_past_the_models_positions_is_refused_before_loading(tiny):
    cell, _ = tiny("seq_len=2049")
    with pytest.raises(ConfigError, match="seq_len=2049 is longer than the 2048 positions"):
        check_length(cell, resolve_cell(cell)[0])


def test_a_target_that_matches_nothing_is_refused_before_loading(tiny):
    with pytest.raises(ConfigError, match=r"lora\.target_modules=\[nothing\]"):
        resolve_cell(tiny("lora.target_modules=[nothing]")[0])
