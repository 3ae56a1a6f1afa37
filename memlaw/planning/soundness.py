"""Refuse base models that break an assumption of the method. Test them on a few tokens, before a cell trains.

Per-token losses, the prefix cache and packs rest on four assumptions:
1. The head gives the same logits on target tokens alone as in the whole model.
2. No token depends on later tokens.
3. An adapter on the targets changes the model's output.
4. Rows of a batch do not influence each other.
An architecture that breaks an assumption would train without an error, and its numbers would mean nothing.
"""

import copy
import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from memlaw.adapters.spec import AUTO, LoraSpec
from memlaw.adapters.stack import LoraPack
from memlaw.adapters.targets import Target, resolve_targets
from memlaw.config.canonical import layer_indices
from memlaw.core.errors import ConfigError, is_out_of_memory, one_line
from memlaw.models.anatomy import decoder_of
from memlaw.models.base import without_weights
from memlaw.models.head import Head
from memlaw.planning.resolved import AdaptedModel

log = logging.getLogger(__name__)

ROWS, TOKENS = 2, 12
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Largest root mean square of a difference in logits that counts as rounding, in standard deviations of the logits.
It is large in bf16, where rounding may send a token to another expert."""
MIXED_SHARE = 0.3
"""Largest allowed change of an adapter's effect by other rows of the batch, as a share of the effect."""
SMALL_PARAMETERS = 400_000_000
"""Largest model with random weights that is tested before cells are queued."""

_WIDTHS, SMALL_WIDTH = re.compile(r"intermediate_size|ffn_dim"), 64
_EXPERTS, SMALL_EXPERTS = re.compile(r"^(num|n|moe_num)_(routed_|local_)?experts$"), 16
"""Names of sizes that are reduced for that test, and their limits: inner sizes of MLPs, and numbers of experts."""

_sound: WeakKeyDictionary[nn.Module, set[tuple[str, ...]]] = WeakKeyDictionary()
"""Model → placements and names of adapted modules with which it has passed the test."""


def refuse_unsound(model: PreTrainedModel, targets: Sequence[Target], placement: str) -> None:
    """Test the four assumptions on a model in eval mode without adapters, once for each choice of targets.

    Args:
        model: the base model.
        targets: the modules to adapt.
        placement: `lora.placement`.

    Raises:
        ConfigError: it breaks an assumption.
    """
    passed = _sound.setdefault(model, set())
    key = (placement, *(target.name for target in targets))
    if key in passed:
        return
    try:
        expected = _logits(model, _ids(model))
    except Exception as error:  # architectures fail with different errors
        if is_out_of_memory(error):
            raise
        kind = model.config.model_type
        raise ConfigError(f"model: a {kind} does not run on token ids alone: {one_line(error)}") from error
    _test(model, targets, placement, expected)
    passed.add(key)


def refuse_unsound_architecture(adapted: AdaptedModel) -> None:
    """Test the four assumptions on two small layers with random weights, before a model is loaded.

    A model that cannot be made so small, or does not run then, is left to `refuse_unsound`.

    Args:
        adapted: the base model and the modules to adapt. They stay unchanged.

    Raises:
        ConfigError: the architecture breaks an assumption.
    """
    try:
        small, targets = _small(adapted)
        expected = _logits(small, _ids(small))
    except Exception as error:  # sizes of an architecture may have to fit together
        log.debug("not tested on random weights: %s", one_line(error))
        return
    _test(small, targets, adapted.spec.placement, expected)


def _small(adapted: AdaptedModel) -> tuple[PreTrainedModel, list[Target]]:
    config, spec, depth = adapted.model.config, adapted.spec, adapted.model.depth
    small = copy.deepcopy(config)
    text = small.get_text_config()
    assert depth is not None
    first = layer_indices(spec.layers, depth)[0]
    window = slice(max(first - 1, 0), max(first - 1, 0) + 2)  # the adapted layer with the one before it
    for name, value in vars(text).items():
        if isinstance(value, list) and len(value) == depth:
            setattr(text, name, value[window])
        elif isinstance(value, int) and _WIDTHS.search(name):
            setattr(text, name, min(value, SMALL_WIDTH))
        elif isinstance(value, int) and _EXPERTS.search(name):
            setattr(text, name, min(value, SMALL_EXPERTS))
    text.num_hidden_layers = min(2, depth)
    text.vocab_size = min(text.vocab_size, 512)
    if (getattr(text, "pad_token_id", None) or 0) >= text.vocab_size:
        text.pad_token_id = 0
    skeleton = without_weights(small)
    parameters = skeleton.num_parameters()
    if parameters > SMALL_PARAMETERS:
        raise ValueError(f"two layers have {parameters:.2g} parameters")
    trusted = type(config).__module__.startswith("transformers_modules")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(small, dtype=torch.float32, trust_remote_code=trusted)
    layers = None if spec.layers is None else (first - window.start,)
    return model.eval().requires_grad_(False), resolve_targets(skeleton, replace(spec, layers=layers))


def alike(logits: torch.Tensor, reference: torch.Tensor, dtype: torch.dtype) -> bool:
    """Tell whether logits of a model in `dtype` are equal up to rounding."""
    return bool(_rms(logits - reference) <= TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16]) * reference.std())


@torch.no_grad()
def length_matters(model: PreTrainedModel, row_tokens: int) -> bool:
    """Tell whether a model computes other values for tokens in a row of `row_tokens` than in a short row.

    This is so where RoPE rotates positions by other factors in long rows (longrope, dynamic scaling).
    """
    ids_1T = _ids(model)[:1, : min(TOKENS, row_tokens)]
    long_1T = ids_1T.new_zeros(1, row_tokens)
    long_1T[:, : ids_1T.shape[1]] = ids_1T
    short, long = (decoder_of(model)(input_ids=ids, use_cache=False).last_hidden_state for ids in (ids_1T, long_1T))
    return not alike(long[:, : ids_1T.shape[1]].float(), short.float(), model.dtype)


def _rms(values: torch.Tensor) -> torch.Tensor:
    return values.square().mean().sqrt()


def _ids(model: PreTrainedModel) -> torch.Tensor:
    """Return distinct tokens [ROWS, TOKENS]. Leave out the first tokens of the vocabulary, which are often special."""
    return torch.arange(100, 100 + ROWS * TOKENS, device=model.device).view(ROWS, TOKENS)


@torch.no_grad()
def _logits(model: PreTrainedModel, ids_BT: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids_BT, use_cache=False).logits
    return logits.float()


def _test(model: PreTrainedModel, targets: Sequence[Target], placement: str, expected_BTV: torch.Tensor) -> None:
    ids_BT, kind = _ids(model), f"model: a {model.config.model_type}"
    if expected_BTV.isnan().any():
        raise ConfigError(f"{kind} gives logits that are not numbers")
    picked_S = torch.randperm(ROWS * TOKENS, generator=torch.Generator().manual_seed(0))[:TOKENS].to(ids_BT.device)
    try:
        head_SV = _head_logits(model, ids_BT, picked_S)
    except Exception as error:  # such a head reads more of the decoder's output
        if is_out_of_memory(error):
            raise
        raise ConfigError(f"{kind} has a head that cannot be applied to single tokens: {one_line(error)}") from error
    if not alike(head_SV, expected_BTV.flatten(0, 1)[picked_S], model.dtype):
        raise ConfigError(f"{kind} has a head that gives other logits for tokens alone than in their row")
    other_BT = ids_BT.clone()
    other_BT[:, -1] += ROWS * TOKENS
    if not alike(_logits(model, other_BT)[:, :-1], expected_BTV[:, :-1], model.dtype):
        raise ConfigError(f"{kind} lets tokens depend on what follows them; a memory needs a causal language model")
    _test_adapters(model, targets, placement=placement, expected_BTV=expected_BTV, kind=kind)


@torch.no_grad()
def _head_logits(model: PreTrainedModel, ids_BT: torch.Tensor, picked_S: torch.Tensor) -> torch.Tensor:
    """Return the logits of picked tokens from all rows, with the rows joined, as the loss takes them."""
    decoded = decoder_of(model)(input_ids=ids_BT, use_cache=False)
    return Head(model)(decoded.last_hidden_state.flatten(0, 1)[picked_S], decoded).float()


def _test_adapters(
    model: PreTrainedModel, targets: Sequence[Target], *, placement: str, expected_BTV: torch.Tensor, kind: str
) -> None:
    ids_BT, names = _ids(model), ", ".join(target.name for target in targets[:3])
    pack = _random_pack(targets, placement, model)
    together_BTV = _adapted(model, pack, ids_BT, names)
    if torch.equal(together_BTV, expected_BTV):
        raise ConfigError(f"{kind} gives the same logits whatever {names} gives; choose other lora.target_modules")
    for cell in range(ROWS):
        alone_TV = _adapted(model, pack.selected([cell]), ids_BT[cell : cell + 1], names)[0]
        effect = _rms(alone_TV - expected_BTV[cell])
        off = _rms(together_BTV[cell] - alone_TV)
        if off > MIXED_SHARE * effect and not alike(together_BTV[cell], alone_TV, model.dtype):
            raise ConfigError(f"{kind} mixes the rows of a batch in {names}; choose other lora.target_modules")


@torch.no_grad()
def _random_pack(targets: Sequence[Target], placement: str, model: PreTrainedModel) -> LoraPack:
    """Make an adapter per row that changes a module's output by about the size of that output."""
    specs = [
        LoraSpec(
            rank=1,
            target_modules=AUTO,
            layers=None,
            placement=placement,
            scaling="constant",
            lora_alpha=1.0,
            init="peft",
            dropout=0.0,
            dtype=torch.float32,
            seed=seed,
        )
        for seed in range(ROWS)
    ]
    pack = LoraPack(targets, specs).to(model.device)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in pack.named_parameters():
        if name.endswith("B_NOR"):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return pack


def _adapted(model: PreTrainedModel, pack: LoraPack, ids_BT: torch.Tensor, names: str) -> torch.Tensor:
    try:
        with pack.attach(model):
            return _logits(model, ids_BT)
    except ConfigError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ConfigError(f"{names} cannot be adapted: {one_line(error)}; choose other lora.target_modules") from error
