import pytest
from models import random_base, spec

from memlaw.errors import ConfigError
from memlaw.targets import layer_indices, resolve_targets


@pytest.mark.parametrize(
    ("layers", "expected"),
    [(None, [*range(30)]), ([0.667], [20]), ([-1, 3], [3, 29]), ([0.5, 15], [15]), ([0], [0])],
)
def test_layers_are_indices_or_fractions_of_depth(layers, expected):
    assert layer_indices(layers, 30) == expected


def test_two_thirds_of_depth_is_the_papers_layer():
    assert layer_indices([0.667], 36) == [24]


@pytest.mark.parametrize("layer", [30, -31, 1.0, 1.5, -0.5])
def test_layers_outside_the_model_are_refused(layer):
    with pytest.raises(ConfigError, match=r"lora\.layers.*-30 to 29"):
        layer_indices([layer], 30)


def test_targets_follow_pefts_rules():
    config = random_base().model.config
    assert len(resolve_targets(config, spec("lora.target_modules=all-linear", "lora.layers=null"))) == 4 * 7
    regex = spec(r"lora.target_modules='.*\.(q|v)_proj'", "lora.layers=null")
    assert [target.name for target in resolve_targets(config, regex)][:2] == [
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.v_proj",
    ]
    assert {target.layer for target in resolve_targets(config, spec("lora.layers=[1,-1]"))} == {1, 3}


@pytest.mark.parametrize(
    "overrides",
    [
        ["lora.target_modules=[nothing]"],
        ["lora.target_modules=[mlp]"],
        ["lora.target_modules='.*down_pro'"],
        ["lora.placement=block", "lora.block_modules=[nothing]"],
    ],
)
def test_targets_that_match_nothing_usable_list_what_the_model_has(overrides: list[str]):
    with pytest.raises(ConfigError, match=r"(?s)lora\.(target|block)_modules=.*down_proj"):
        resolve_targets(random_base().model.config, spec(*overrides))


def test_targets_outside_the_layers_are_refused():
    with pytest.raises(ConfigError, match="lm_head, which is not in the decoder's layers"):
        resolve_targets(random_base().model.config, spec("lora.target_modules=[lm_head]", "lora.layers=null"))
