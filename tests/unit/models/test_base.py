import pytest
import torch
from helpers.models import random_base
from transformers import AutoConfig

from memlaw.core.errors import ConfigError
from memlaw.models.base import weights_fingerprint, without_weights
from memlaw.models.random_weights import RandomModel


def test_the_base_is_frozen_and_in_eval_mode():
    base = random_base()
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


@pytest.mark.parametrize("model_type", ["bart", "marian", "whisper"])
def test_an_encoder_decoder_is_refused(model_type: str):
    with pytest.raises(ConfigError, match=f"a {model_type} is an encoder-decoder"):
        without_weights(AutoConfig.for_model(model_type))


def test_the_fingerprint_sees_a_change_of_any_tensor():
    base = random_base()
    before = weights_fingerprint(base.model)
    with torch.no_grad():
        base.model.model.layers[3].mlp.up_proj.weight.add_(1e-3)
    assert weights_fingerprint(base.model) != before


def test_negative_sizes_are_one_line():
    config = RandomModel("m", "llama", {"intermediate_size": -1, "vocab_size": 300}).config()
    with pytest.raises(ConfigError, match=r"model\.sizes, make no causal LM") as caught:
        without_weights(config)
    assert "\n" not in str(caught.value)
