import pytest
from helpers.architectures.sizes import tiny_sizes
from helpers.models import ARCHITECTURES, random_base

from memlaw.models.anatomy import (
    decoder_of,
    fused_experts,
    hidden_size,
    layers_of,
    layers_path,
    linear_maps,
    vocabulary_size,
)
from memlaw.models.base import without_weights
from memlaw.models.random_weights import RandomModel


def skeleton(model_type: str, **sizes: object):
    return without_weights(RandomModel("m", model_type, tiny_sizes(model_type) | sizes).config())


@pytest.mark.parametrize(
    ("model_type", "decoder", "layers"),
    [
        ("llama", "model", "model.layers"),
        ("opt", "model.decoder", "model.decoder.layers"),
        ("llama4_text", "model", "model.layers"),  # which calls itself its decoder
        ("modernbert-decoder", "model", "model.layers"),  # which calls its head so
        ("longcat_flash", "model", "model.layers"),  # whose layers hold lists as long as they are many
    ],
)
def test_the_decoder_and_its_layers_are_found(model_type: str, decoder: str, layers: str):
    model = skeleton(model_type)
    assert decoder_of(model) is model.get_submodule(decoder)
    assert layers_path(model) == layers


@pytest.mark.parametrize(
    ("model_type", "sizes", "hidden"),
    [
        ("llama", {}, 64),
        ("opt", {"hidden_size": 64, "word_embed_proj_dim": 32}, 64),  # whose head is narrower than its layers
        ("falcon_mamba", {}, 64),  # whose maps are mostly of another size
        ("gemma4_text", {}, 64),  # whose configuration cannot be asked for every size
    ],
)
def test_sizes_are_those_of_the_modules(model_type: str, sizes: dict, hidden: int):
    model = skeleton(model_type, **sizes)
    assert hidden_size(model) == hidden
    assert vocabulary_size(model) == 512


def test_linear_maps_are_read_whatever_their_kind():
    (first, *_) = linear_maps(layers_of(skeleton("gpt2"))[0])
    assert first == ("attn.c_attn", 64, 192)


def test_fused_experts_are_three_dimensional():
    assert [list(weight.shape) for weight in fused_experts(layers_of(skeleton("mixtral"))[0])] == [
        [4, 256, 64],
        [4, 64, 128],
    ]
    assert not fused_experts(skeleton("llama"))


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_the_layers_are_found(model_type: str):
    base = random_base(model_type)
    path = layers_path(base.model)
    assert path is not None
    assert len(list(base.model.get_submodule(path).children())) == 4
