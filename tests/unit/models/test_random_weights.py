import pytest
import torch

from memlaw.core.errors import ConfigError
from memlaw.models.random_weights import RandomModel, byte_tokenizer

CPU = torch.device("cpu")


def test_special_tokens_of_the_usual_vocabulary_do_not_break_a_smaller_one():
    assert RandomModel("m", "phi3", {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 1}).load(
        torch.float32, CPU
    )


def test_random_models_are_the_same_for_a_seed_and_differ_between_seeds():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 300}
    a, b, c = (RandomModel("m", "llama", sizes, seed).load(torch.float32, CPU) for seed in (0, 0, 1))
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_an_unknown_architecture_is_refused():
    with pytest.raises(ConfigError, match=r"model\.model_type=nonsense"):
        RandomModel("m", "nonsense", {}).config()


def test_the_byte_tokenizer_round_trips_any_text():
    tokenizer = byte_tokenizer(300)
    text = "Plain, Ünïcode and 漢字\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer) == 300
    with pytest.raises(ConfigError, match="vocab_size=256"):
        byte_tokenizer(256)


@pytest.mark.parametrize("sizes", [{"hidden_size": "abc"}, {"hidden_size": 63, "num_attention_heads": 4}])
def test_sizes_that_make_no_model_are_one_line(sizes):
    source = RandomModel("m", "llama", {"vocab_size": 300, **sizes})
    with pytest.raises(ConfigError, match=r"model\.sizes do not fit a llama: .*hidden.size") as caught:
        source.config()
    assert "\n" not in str(caught.value)


def test_a_misspelt_size_is_refused():
    with pytest.raises(ConfigError, match=r"model\.sizes\.hiden_size is not an argument of a llama's configuration"):
        RandomModel("m", "llama", {"vocab_size": 300, "hiden_size": 64}).config()
