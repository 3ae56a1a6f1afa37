"""Whether a base model is what the method takes it for; tried on a few tokens, before a cell trains.

Per-token losses, the prefix cache and packs rest on four assumptions: the head that is applied to target tokens alone
gives the model's own logits; no token depends on what follows it; an adapter on the targets changes what the model
computes; and rows of a batch do not mix. An architecture that breaks one of them trains without an error to numbers
that mean nothing.
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
"""Root mean square of a difference in logits, in standard deviations of the logits, that is rounding. In bf16 a router
may send a token elsewhere by rounding alone."""
MIXED_SHARE = 0.3
"""Share of an adapter's effect by which another row of the batch may change it."""
SMALL_PARAMETERS = 400_000_000
"""A model with random weights that is larger is not made before cells are queued."""

_WIDTHS, SMALL_WIDTH = re.compile(r"intermediate_size|ffn_dim"), 64
_EXPERTS, SMALL_EXPERTS = re.compile(r"^(num|n|moe_num)_(routed_|local_)?experts$"), 16
"""Sizes of a configuration that are made smaller for that: inner sizes of MLPs, and numbers of experts."""

_sound: WeakKeyDictionary[nn.Module, set[tuple[str, ...]]] = WeakKeyDictionary()
"""Placements and names of adapted modules with which a model has been tried."""


def refuse_unsound(model: PreTrainedModel, targets: Sequence[Target], placement: str) -> None:
    """Try the four assumptions on a model in eval mode without adapters; once for a model and its targets.

    Args:
        model: the base model.
        targets: the modules to adapt.
        placement: `lora.placement`.

    Raises:
        ConfigError: it breaks one of them.
    """
    tried = _sound.setdefault(model, set())
    place = (placement, *(target.name for target in targets))
    if place in tried:
        return
    try:
        expected = _logits(model, _ids(model))
    except Exception as error:  # in each architecture's own way
        if is_out_of_memory(error):
            raise
        kind = model.config.model_type
        raise ConfigError(f"model: a {kind} does not run on token ids alone: {one_line(error)}") from error
    _try(model, targets, placement, expected)
    tried.add(place)


def refuse_unsound_architecture(adapted: AdaptedModel) -> None:
    """Try the four assumptions on random weights before a model is loaded: on two of its layers, made small.

    What cannot be made so small, or does not run so, is left to `refuse_unsound`.

    Args:
        adapted: the base model and the modules to adapt; they are left as they are.

    Raises:
        ConfigError: the architecture breaks one of them.
    """
    try:
        small, targets = _small(adapted)
        expected = _logits(small, _ids(small))
    except Exception as error:  # each architecture has sizes that must fit together in its own way
        log.debug("not tried on random weights: %s", one_line(error))
        return
    _try(small, targets, adapted.spec.placement, expected)


def _small(adapted: AdaptedModel) -> tuple[PreTrainedModel, list[Target]]:
    config, spec, depth = adapted.model.config, adapted.spec, adapted.model.depth
    small = copy.deepcopy(config)
    text = small.get_text_config()
    assert depth is not None
    first = layer_indices(spec.layers, depth)[0]
    kept = slice(max(first - 1, 0), max(first - 1, 0) + 2)  # the adapted layer with the one before it
    for name, value in vars(text).items():
        if isinstance(value, list) and len(value) == depth:
            setattr(text, name, value[kept])
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
    layers = None if spec.layers is None else (first - kept.start,)
    return model.eval().requires_grad_(False), resolve_targets(skeleton, replace(spec, layers=layers))


def alike(logits: torch.Tensor, reference: torch.Tensor, dtype: torch.dtype) -> bool:
    """Whether logits of a model in `dtype` are the same up to rounding."""
    return bool(_rms(logits - reference) <= TOLERANCE.get(dtype, TOLERANCE[torch.bfloat16]) * reference.std())


@torch.no_grad()
def length_matters(model: PreTrainedModel, row_tokens: int) -> bool:
    """Whether what a model makes of tokens depends on the length of the row in which they stand, up to `row_tokens`.

    So do positions that are rotated by other factors in long rows (longrope, dynamic scaling of RoPE).
    """
    ids_1T = _ids(model)[:1, : min(TOKENS, row_tokens)]
    long_1T = ids_1T.new_zeros(1, row_tokens)
    long_1T[:, : ids_1T.shape[1]] = ids_1T
    short, long = (decoder_of(model)(input_ids=ids, use_cache=False).last_hidden_state for ids in (ids_1T, long_1T))
    return not alike(long[:, : ids_1T.shape[1]].float(), short.float(), model.dtype)


def _rms(values: torch.Tensor) -> torch.Tensor:
    return values.square().mean().sqrt()


def _ids(model: PreTrainedModel) -> torch.Tensor:
    """Some distinct tokens [ROWS, TOKENS], none of the first ones, which are often special."""
    return torch.arange(100, 100 + ROWS * TOKENS, device=model.device).view(ROWS, TOKENS)


@torch.no_grad()
def _logits(model: PreTrainedModel, ids_BT: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=ids_BT, use_cache=False).logits
    return logits.float()


def _try(model: PreTrainedModel, targets: Sequence[Target], placement: str, expected_BTV: torch.Tensor) -> None:
    ids_BT, kind = _ids(model), f"model: a {model.config.model_type}"
    if expected_BTV.isnan().any():
        raise ConfigError(f"{kind} gives logits that are no numbers")
    picked_S = torch.randperm(ROWS * TOKENS, generator=torch.Generator().manual_seed(0))[:TOKENS].to(ids_BT.device)
    try:
        head_SV = _head_logits(model, ids_BT, picked_S)
    except Exception as error:  # what its head asks of the decoder that is not there
        if is_out_of_memory(error):
            raise
        raise ConfigError(f"{kind} has a head that cannot be applied to single tokens: {one_line(error)}") from error
    if not alike(head_SV, expected_BTV.flatten(0, 1)[picked_S], model.dtype):
        raise ConfigError(f"{kind} has a head that gives other logits for tokens alone than in their row")
    other_BT = ids_BT.clone()
    other_BT[:, -1] += ROWS * TOKENS
    if not alike(_logits(model, other_BT)[:, :-1], expected_BTV[:, :-1], model.dtype):
        raise ConfigError(f"{kind} lets tokens depend on what follows them; a memory needs a causal language model")
    _try_adapters(model, targets, placement, expected_BTV, kind)


@torch.no_grad()
def _head_logits(model: PreTrainedModel, ids_BT: torch.Tensor, picked_S: torch.Tensor) -> torch.Tensor:
    """Logits of some tokens of all rows, one row after the other, as a loss takes them."""
    decoded = decoder_of(model)(input_ids=ids_BT, use_cache=False)
    return Head(model)(decoded.last_hidden_state.flatten(0, 1)[picked_S], decoded).float()


def _try_adapters(
    model: PreTrainedModel, targets: Sequence[Target], placement: str, expected_BTV: torch.Tensor, kind: str
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
    """Two adapters that change a module's output by about its own size."""
    specs = [LoraSpec(1, AUTO, None, placement, "constant", 1.0, seed) for seed in range(ROWS)]
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
