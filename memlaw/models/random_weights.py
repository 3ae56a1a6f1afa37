"""A base model with random weights and a tokenizer of bytes, for tests and benchmarks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from memlaw.config.values import check_whole
from memlaw.core.errors import ConfigError, one_line, spelled
from memlaw.models.base import BaseModel


@dataclass(frozen=True)
class RandomModel:
    """A randomly initialised model of any architecture, for tests and benchmarks.

    Attributes:
        model_type: a causal LM that transformers knows, e.g. `llama`.
        sizes: arguments of its configuration class, e.g. hidden_size.
        init_seed: seed of the weights.
    """

    name: str
    model_type: str
    sizes: Mapping[str, Any]
    init_seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.sizes, Mapping):
            raise ConfigError(f"model.sizes={spelled(self.sizes)} is not a mapping of sizes")
        check_whole("model.init_seed", self.init_seed, at_least=0)

    def config(self) -> PreTrainedConfig:
        """Build the configuration. Raises ConfigError when transformers takes neither model type nor sizes."""
        if not isinstance(self.model_type, str) or self.model_type not in CONFIG_MAPPING_NAMES:
            raise ConfigError(
                f"model.model_type={spelled(self.model_type)} is not an architecture that transformers knows"
            )
        try:
            config = AutoConfig.for_model(self.model_type, **self.sizes)
        except Exception as error:  # each architecture checks sizes with errors of its own
            raise ConfigError(f"model.sizes do not fit a {self.model_type}: {one_line(error)}") from error
        usual = AutoConfig.for_model(
            self.model_type
        )  # `for_model` ignores unknown arguments, so compare with the defaults
        allowed = ("initializer_range",)  # transformers reads it from every configuration, though some lack it
        unknown = [key for key in self.sizes if not has(usual, key) and key not in allowed]
        if unknown:
            raise ConfigError(f"model.sizes.{unknown[0]} is not an argument of a {self.model_type}'s configuration")
        text = config.get_text_config()
        _check_vocabulary(text.vocab_size)
        if (getattr(text, "pad_token_id", None) or 0) >= text.vocab_size and "pad_token_id" not in self.sizes:
            text.pad_token_id = 0  # the default belongs to the usual, larger vocabulary
        return config

    def load(self, dtype: torch.dtype, device: torch.device) -> BaseModel:
        """Initialise the weights; the seed gives the same weights for the same dtype and device type."""
        config = self.config()
        devices = [device] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), device:
            torch.manual_seed(self.init_seed)
            model = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)
        return BaseModel.freeze(model, byte_tokenizer(config.get_text_config().vocab_size), device)


def has(config: PreTrainedConfig, name: str) -> bool:
    """Tell whether a configuration has an attribute, even one that differs from layer to layer and cannot be read."""
    try:
        getattr(config, name)
    except AttributeError:
        return False
    except Exception:  # each architecture raises errors of its own
        return True
    return True


def byte_tokenizer(vocab_size: int) -> PreTrainedTokenizerFast:
    """Make a tokenizer with a token for each byte, an end-of-text token, and fillers up to `vocab_size`.

    Raises:
        ConfigError: `vocab_size` is below 257, the number of bytes and end of text.
    """
    _check_vocabulary(vocab_size)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    fillers = [f"<filler{index}>" for index in range(vocab_size - 257)]
    vocabulary = {token: index for index, token in enumerate([*alphabet, "<|endoftext|>", *fillers])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|endoftext|>", pad_token="<|endoftext|>")


def _check_vocabulary(size: int) -> None:
    if size < 257:
        raise ConfigError(f"model.sizes.vocab_size={size} is too small; at least 257 is needed")
