import pytest
from helpers.models import spec

from memlaw.core.errors import ConfigError


@pytest.mark.parametrize(("scaling", "scale"), [("constant", 32.0), ("rslora", 16.0), ("classic", 8.0)])
def test_scaling_policies(scaling: str, scale: float):
    assert spec("lora.rank=4", f"lora.scaling={scaling}").scale == scale


@pytest.mark.parametrize(
    "override",
    [
        *("lora.rank=0", "lora.rank=1.5", "lora.scaling=none", "lora.placement=head"),
        *("lora.init=pissa", "lora.dropout=1", "lora.dropout=false", "lora.dtype=auto"),
    ],
)
def test_impossible_values_name_their_key(override: str):
    with pytest.raises(ConfigError, match=override.split("=")[0].replace(".", r"\.")):
        spec(override)


def test_an_orthogonal_start_needs_an_even_rank_and_no_rounding():
    with pytest.raises(ConfigError, match=r"^lora\.init=orthogonal needs an even rank; lora\.rank=3 is odd$"):
        spec("lora.init=orthogonal", "lora.rank=3")
    with pytest.raises(ConfigError, match=r"^lora\.init=orthogonal needs lora\.dtype=fp32; rounded to bf16"):
        spec("lora.init=orthogonal", "lora.rank=4", "lora.dtype=bf16")


def test_peft_is_told_of_no_dropout_because_its_own_acts_on_the_input():
    assert spec("lora.dropout=0.1").peft_config(["down_proj"], None).lora_dropout == 0


@pytest.mark.parametrize("rank", [1, 3, 512])
def test_a_constant_scale_of_one_is_one_in_peft_at_any_rank(rank: int):
    config = spec(f"lora.rank={rank}", "lora.scaling=constant", "lora.lora_alpha=1").peft_config(["down_proj"], None)
    assert (config.lora_alpha / config.r, config.use_rslora) == (1, False)
