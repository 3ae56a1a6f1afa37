"""Small random base models of the architectures that the tests cover, and adapters for them."""

import torch

from helpers.configs import composed
from memlaw.adapters.spec import LoraSpec
from memlaw.models.base import BaseModel
from memlaw.models.random_weights import RandomModel

_COMMON = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "vocab_size": 300,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
}
_LLAMA = {**_COMMON, "intermediate_size": 48, "num_key_value_heads": 2}

_TWO_KINDS = ["sliding_attention", "full_attention"]
_GPT2_NAMES = {"vocab_size": 300, "n_positions": 256, "initializer_range": 0.1}

ARCHITECTURES: dict[str, dict] = {
    "llama": _LLAMA,
    "qwen3": {**_LLAMA, "head_dim": 8},
    "gemma3_text": {**_LLAMA, "head_dim": 8, "sliding_window": 8, "layer_types": _TWO_KINDS * 2},
    "mistral": {**_LLAMA, "sliding_window": 8},
    "olmo2": _LLAMA,
    "phi": {**_LLAMA, "num_key_value_heads": 4},
    "gpt_neox": {**_COMMON, "intermediate_size": 48},
    "gpt2": {"n_embd": 32, "n_layer": 4, "n_head": 4, "n_inner": 48, **_GPT2_NAMES},
    "opt": {**_COMMON, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.1},
    "gemma2": {**_LLAMA, "head_dim": 8, "sliding_window": 8, "final_logit_softcapping": 5.0},
}  # fmt: skip


def random_base(model_type: str = "llama", dtype: torch.dtype = torch.float32, **sizes: object) -> BaseModel:
    """A frozen random model whose logits differ clearly between tokens."""
    return RandomModel("test", model_type, {**ARCHITECTURES[model_type], **sizes}).load(dtype, torch.device("cpu"))


def spec(*overrides: str, seed: int = 0) -> LoraSpec:
    """A cell's adapter at layer 2 of 4."""
    return LoraSpec.from_config(composed("lora.layers=[2]", *overrides).lora, seed)
