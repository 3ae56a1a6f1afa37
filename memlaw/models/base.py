"""A frozen base model, and the properties of one whose weights are not loaded."""

import copy
import hashlib
import math
import sys
from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from memlaw.core.errors import ConfigError, one_line


@dataclass(frozen=True)
class BaseModel:
    """A frozen base LLM in eval mode, its tokenizer, and a fingerprint of its weights."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return self.model.device

    @classmethod
    def freeze(cls, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: torch.device) -> "BaseModel":
        """Freeze `model` on `device`: in eval mode, without gradients and without a KV cache."""
        nn.Module.to(model, device).eval().requires_grad_(False)
        model.config.use_cache = False
        return cls(model, tokenizer, weights_fingerprint(model))


def without_weights(config: PreTrainedConfig) -> PreTrainedModel:
    """Build the model's modules on the device `meta`, where tensors have shapes but take no RAM.

    Raises:
        ConfigError: no causal LM can be built from the configuration.
    """
    if config.is_encoder_decoder:
        raise ConfigError(f"model: a {config.model_type} is an encoder-decoder; memlaw trains decoders only")
    trusted = type(config).__module__.startswith("transformers_modules")  # its code was trusted to read the config
    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(copy.deepcopy(config), trust_remote_code=trusted)  # may change it
    except Exception as error:  # sizes that do not fit together raise errors of many classes
        raise ConfigError(
            f"model: the sizes in its config.json, or model.sizes, make no causal LM: {one_line(error)}"
        ) from error


def positions(config: PreTrainedConfig) -> float:
    """Return the number of tokens that the model can attend to; infinite for architectures without a limit."""
    try:
        return config.get_text_config().max_position_embeddings
    except (AttributeError, NotImplementedError):  # some configurations lack it, some refuse to read it
        return math.inf


def known_ids(model: PreTrainedModel) -> int:
    """Count the token ids with rows in both the embedding and the head."""
    ends = (model.get_input_embeddings(), model.get_output_embeddings())
    matrices = [getattr(end, "weight", None) for end in ends]
    return min((matrix.shape[0] for matrix in matrices if matrix is not None), default=sys.maxsize)


def weights_fingerprint(model: PreTrainedModel, samples: int = 256) -> str:
    """Hash names, shapes and `samples` evenly spaced elements of each tensor to sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        flat = tensor.detach().reshape(-1)
        chosen = torch.linspace(0, flat.numel() - 1, samples, dtype=torch.float64).long().to(flat.device)
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(flat[chosen].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
