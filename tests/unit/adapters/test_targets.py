import pytest
from helpers.architectures.sizes import tiny_sizes
from helpers.models import random_base, spec

from memlaw.adapters.targets import resolve_targets
from memlaw.config.canonical import layer_indices
from memlaw.core.errors import ConfigError
from memlaw.models.base import without_weights
from memlaw.models.random_weights import RandomModel


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
    model = random_base().model
    assert len(resolve_targets(model, spec("lora.target_modules=all-linear", "lora.layers=null"))) == 4 * 7
    regex = spec(r"lora.target_modules='.*\.(q|v)_proj'", "lora.layers=null")
    assert [target.name for target in resolve_targets(model, regex)][:2] == [
        "model.layers.0.self_attn.q_proj",
        "model.layers.0.self_attn.v_proj",
    ]
    assert {target.layer for target in resolve_targets(model, spec("lora.layers=[1,-1]"))} == {1, 3}


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
        resolve_targets(random_base().model, spec(*overrides))


DEFAULTS = {
    "llama": ["model.layers.2.mlp.down_proj"],
    "gpt2": ["transformer.h.2.mlp.c_proj"],
    "qwen2_moe": ["model.layers.2.mlp.shared_expert.down_proj"],  # its other experts are one parameter
    "mixtral": ["model.layers.2.self_attn.o_proj"],  # it has no other ones
    "deepseek_v3": ["model.layers.2.self_attn.o_proj"],  # where PEFT reads down_proj as the fused experts
    "laguna": ["model.layers.2.self_attn.o_proj"],  # where PEFT looks for shared experts under another name
    "phimoe": ["model.layers.2.self_attn.o_proj"],  # and not the router
    "zaya": ["model.layers.2.self_attn.o_proj"],  # nor the gate
    "falcon_mamba": ["backbone.layers.2.mixer.in_proj"],  # whose out_proj PEFT refuses
    "lfm2": ["model.layers.2.feed_forward.w2"],
}


@pytest.mark.parametrize("model_type", DEFAULTS)
def test_the_default_is_a_linear_map_in_the_layer_asked_for_that_peft_adapts_alike(model_type: str):
    model = without_weights(RandomModel("m", model_type, tiny_sizes(model_type)).config())
    assert [target.name for target in resolve_targets(model, spec("lora.layers=[2]"))] == DEFAULTS[model_type]


@pytest.mark.parametrize(
    ("model_type", "modules", "message"),
    [
        ("mixtral", "[down_proj]", r"matches no linear map in layer 2; experts fused .* cannot be adapted"),
        ("deepseek_v3", "[mlp.shared_experts.down_proj]", r"PEFT reads .* as model\.layers\.1\.mlp\.experts, model"),
        ("laguna", "[shared_experts.down_proj]", "PEFT cannot load an adapter of .*: it expects another name"),
        ("falcon_mamba", "[out_proj]", "PEFT cannot adapt backbone.layers.2.mixer.out_proj: "),
        ("llama", "[down_proj,nothing]", None),
    ],
)
def test_what_peft_would_read_as_something_else_is_refused(model_type: str, modules: str, message: str | None):
    model = without_weights(RandomModel("m", model_type, tiny_sizes(model_type)).config())
    asked = spec("lora.layers=[2]", f"lora.target_modules={modules}")
    if message is None:
        assert resolve_targets(model, asked)
        return
    with pytest.raises(ConfigError, match=rf"(?s)^lora\.target_modules=.*{message}"):
        resolve_targets(model, asked)


def test_every_layer_asked_for_must_have_a_match():
    model = without_weights(RandomModel("m", "deepseek_v3", tiny_sizes("deepseek_v3")).config())
    with pytest.raises(ConfigError, match=r"mlp\.gate_proj\] matches no linear map in layer 1"):
        resolve_targets(model, spec("lora.layers=[0,1]", "lora.target_modules=[mlp.gate_proj]"))


def test_a_regex_and_all_linear_keep_to_the_layers():
    model = random_base().model
    for modules, count in ((r"'.*\.(q|v)_proj'", 2), ("all-linear", 7)):
        targets = resolve_targets(model, spec("lora.layers=[1]", f"lora.target_modules={modules}"))
        assert {target.layer for target in targets} == {1}
        assert len(targets) == count


def test_a_regex_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=r"lora\.target_modules=\[a-z: unterminated character set"):
        resolve_targets(random_base().model, spec("lora.target_modules='[a-z'"))


def test_targets_outside_the_layers_are_refused():
    with pytest.raises(ConfigError, match="lm_head, which is not in the decoder's layers"):
        resolve_targets(random_base().model, spec("lora.target_modules=[lm_head]", "lora.layers=null"))
