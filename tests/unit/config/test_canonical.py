import pytest

from memlaw.config.canonical import canonical_lora
from memlaw.core.errors import ConfigError

LORA = {"rank": 4, "layers": [2], "target_modules": "auto", "block_modules": ["mlp"]}


def layers(value: object, depth: int | None = 3) -> object:
    return canonical_lora({**LORA, "layers": value}, lambda: depth)["layers"]


@pytest.mark.parametrize("spelling", [[-1], -1, [2], 2, 0.667, [0.667], [2, -1, 0.9]])
def test_one_layer_has_one_spelling(spelling):
    assert layers(spelling) == [2]


def test_layers_ascend_and_every_layer_stays_every_layer():
    assert layers([5, 1, 5], None) == [1, 5]
    assert layers(None) is None


def test_what_needs_an_unknown_depth_stays_as_it_is():
    assert layers(-1, None) == [-1]
    assert layers([0.5, 3], None) == [0.5, 3]


@pytest.mark.parametrize("value", [True, "last", [], [None], {"a": 1}, 3.5, -4])
def test_what_is_no_layer_is_refused(value):
    with pytest.raises(ConfigError, match=r"lora\.layers"):
        layers(value)


def test_names_of_modules_have_one_order():
    lora = {**LORA, "target_modules": ["v_proj", "q_proj", "v_proj"]}
    assert canonical_lora(lora, lambda: 3)["target_modules"] == ["q_proj", "v_proj"]


def test_spellings_of_one_layer_are_one_cell(tiny):
    names = {tiny(f"lora.layers={spelling}")[0].name for spelling in ("[-1]", "-1", "[2]", "2", "0.667", "[0.667]")}
    assert len(names) == 1
    assert tiny("lora.layers=[1]")[0].name not in names


def test_a_layer_is_counted_in_the_decoder_whatever_the_configuration_counts(tiny):
    decoder = {"d_model": 64, "encoder_layers": 2, "decoder_layers": 6, "decoder_attention_heads": 4,
               "decoder_ffn_dim": 128, "vocab_size": 512, "is_encoder_decoder": False, "is_decoder": True}  # fmt: skip
    words = [f"+model.sizes.{key}={value}" if key != "vocab_size" else f"model.sizes.{key}={value}"
             for key, value in decoder.items()]  # fmt: skip
    words += [f"~model.sizes.{key}" for key in ("hidden_size", "intermediate_size", "num_hidden_layers",
                                                "num_attention_heads", "num_key_value_heads")]  # fmt: skip
    plbart = ["model.model_type=plbart", "model.name=plbart", *words]
    assert tiny(*plbart, "lora.layers=[-1]")[0].config.lora.layers == [5]
    assert tiny(*plbart, "lora.layers=[0.667]")[0].config.lora.layers == [4]
