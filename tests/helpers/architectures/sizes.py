"""Tiny random models of every architecture that transformers builds as a causal LM."""

from typing import Any

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from memlaw.models.random_weights import has

MODEL_TYPES = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)

_LAYERS = 3
_COMMON: dict[str, Any] = {
    "vocab_size": 512,
    "max_position_embeddings": 2048,
    "num_hidden_layers": _LAYERS,
    "hidden_size": 64,
    "intermediate_size": 128,
    "ffn_dim": 128,
    "n_inner": 128,
    "word_embed_proj_dim": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "rotary_dim": 8,
    "sliding_window": 16,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "shared_intermediate_size": 32,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "q_lora_rank": 32,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "qk_head_dim": 16,
    "v_head_dim": 16,
    "index_head_dim": 16,
    "index_n_heads": 2,
    "index_topk": 64,
    "mamba_d_state": 8,
    "mamba_n_heads": 4,
    "mamba_d_head": 32,
    "mamba_expand": 2,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}
_SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}

_LATENT = {"head_dim": 8, "num_key_value_heads": 4}  # of latent attention: what is rotated
_HYBRID = {"layer_types": ["linear_attention", "full_attention", "linear_attention"]}
_BY_LAYER = {"head_dim": None, "num_attention_heads": None, "num_key_value_heads": None, "num_kv_shared_layers": 0,
             "vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 8}  # fmt: skip
_OWN: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {
        "layer_types": ["full_attention"] * _LAYERS,
        "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 10000.0}},
    },
    "bailing_hybrid": {"linear_num_heads": 4, "linear_head_dim": 16},
    "deepseek_v3": {"first_k_dense_replace": 1},
    "dots1": {"n_shared_experts": 1, "layer_types": ["full_attention"] * _LAYERS},
    "dots3_note_text": {"head_dim": None, "num_attention_heads": None, "num_key_value_heads": None},
    "falcon": {"head_dim": None, "num_kv_heads": 2},
    "falcon_h1": {"mamba_d_ssm": 128, "mamba_n_groups": 1},
    "gemma3n_text": {"num_kv_shared_layers": 0, "layer_types": ["full_attention"] * _LAYERS,
                     "activation_sparsity_pattern": [0.0] * _LAYERS, "intermediate_size": [128] * _LAYERS,
                     "vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 8},
    "gemma4_text": _BY_LAYER,
    "gemma4_unified_text": {**_BY_LAYER, "vocab_size_per_layer_input": None, "hidden_size_per_layer_input": None},
    "gpt_neo": {"num_layers": _LAYERS, "num_heads": 4, "attention_types": [[["global", "local", "global"], 1]]},
    "kimi_linear": {"linear_num_heads": 4, "linear_head_dim": 16},
    "hrm_text": {"initializer_range": 0.1},
    "lfm2_moe": {"layer_types": ["conv", "full_attention", "full_attention"]},
    "mamba2": {"num_heads": 4, "head_dim": 32, "n_groups": 1, "state_size": 8},
    "nemotron_h": {"mamba_num_heads": 4, "mamba_head_dim": 32, "ssm_state_size": 8, "n_groups": 1, "chunk_size": 16},
    "opt": {"init_std": 0.25},
    "qwen3_5_moe_text": _HYBRID,
    "qwen3_5_text": _HYBRID,
    "qwen3_next": _HYBRID,
    "xlnet": {"max_position_embeddings": None, "d_head": 16},
    "xlstm": {"qk_head_dim": None, "v_head_dim": None},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid", "linear_attention"], "n_mamba_heads": 4,
               "mamba_headdim": 32, "num_mem_blocks": 1},
    "zaya": {"num_experts_per_tok": 1, "router_hidden_size": 16},
}  # fmt: skip
"""What single architectures need besides, or, where it is None, do not take."""


def tiny_sizes(model_type: str) -> dict[str, Any]:
    """Arguments of the architecture's configuration, for `model.sizes`; those of `_COMMON` that it has."""
    usual = AutoConfig.for_model(model_type)
    own = {**(_LATENT if has(usual, "qk_rope_head_dim") else {}), **_OWN.get(model_type, {})}
    common = {name: value for name, value in {**_COMMON, **_SPECIAL}.items() if has(usual, name)}
    sizes = {**common, "initializer_range": 0.25, **own}
    return {name: value for name, value in sizes.items() if value is not None}
