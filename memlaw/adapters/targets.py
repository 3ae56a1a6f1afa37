"""Finds the modules that a cell adapts: linear maps by PEFT's names, or whole blocks, on a model without weights.

PEFT itself may read a name as more than a module: on mixtures it turns `down_proj` into the fused experts of all
layers, and it renames keys of some architectures when it loads them. So modules are found by PEFT's plain rule. Then
PEFT loads the adapter that will be exported, and must arrive at the same modules.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import get_peft_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import check_target_module_exists
from transformers import PreTrainedConfig, PreTrainedModel

from memlaw.adapters.spec import ALL_LINEAR, AUTO, LoraSpec
from memlaw.config.canonical import layer_indices
from memlaw.core.errors import ConfigError, one_line
from memlaw.models.anatomy import fused_experts, hidden_size, layers_of, layers_path, linear_maps
from memlaw.models.base import without_weights

DEFAULT_KINDS = (
    re.compile(
        r"^(?!.*attn|.*attention)"
        r".*\.(down_proj|dense_4h_to_h|mlp\.c_proj|fc2|fc_out|feed_forward\.(w2|value)|ffn\.(2|proj_down)|mlp\.Wo|output\.dense)$"
    ),
    re.compile(r"\.(o_proj|out_proj|attn\.(c_proj|Wo)|attention\.(dense|output)|output\.dense)$"),
    re.compile(r"\.(in_proj|in_proj_qkv|kv_proj)$"),
)
"""Names of modules that `lora.target_modules=auto` adapts in a layer. It takes the first kind that exists and that PEFT
adapts: the output projection of the MLP, that of the attention, or the first projection of a state-space mixer."""

_NO_DEFAULT = re.compile(r"router|norm|\bgate\b|\bexperts\b")
"""Parts of names whose linear maps choose experts, scale, or see only some of the tokens."""


@dataclass(frozen=True)
class Target:
    """A module to adapt: its dotted name, its sizes and the index of its decoder layer."""

    name: str
    in_features: int
    out_features: int
    layer: int


def module_names(targets: Sequence[Target]) -> list[str]:
    """List the distinct names of modules without layer numbers, such as `mlp.down_proj`."""
    return list(dict.fromkeys(re.sub(r"^.*?\.\d+\.", "", target.name, count=1) for target in targets))


def resolve_targets(model: PreTrainedModel, spec: LoraSpec) -> list[Target]:
    """Find the modules that `spec` adapts, in the order of the model's modules.

    Args:
        model: the base model, on any device, also `meta`; it is not changed.
        spec: the adapter.

    Raises:
        ConfigError: no module matches in a requested layer, a match lies outside the decoder's layers, or PEFT would
            read the exported adapter as something else. The message lists the model's modules.
    """
    path = layers_path(model)
    if path is None:
        raise ConfigError(f"model: a {model.config.model_type} has no list of decoder layers to adapt")
    layers = layer_indices(spec.layers, len(layers_of(model)))
    if spec.placement == "block":
        return _blocks(model, path, spec, layers)
    if spec.target_modules == AUTO:
        return _default(model, path, spec, layers)
    targets = _named(model, path, spec, layers)
    misread = _misread(model.config, spec, targets)
    if misread:
        raise ConfigError(f"lora.target_modules={_listed(spec.target_modules)}: {misread} {_inventory(model, path)}")
    return targets


def _named(model: PreTrainedModel, path: str, spec: LoraSpec, layers: list[int]) -> list[Target]:
    """Find the linear maps that the names or the regex match."""
    maps = list(linear_maps(model))
    if spec.target_modules == ALL_LINEAR:
        head = model.get_output_embeddings()
        names = {name for name, *_ in maps if model.get_submodule(name) is not head}
    else:
        names = _matched(model, spec)
    matching = [linear for linear in maps if linear[0] in names]
    setting = f"lora.target_modules={_listed(spec.target_modules)}"
    outside = [name for name, *_ in matching if _layer(path, name) is None]
    if outside and spec.layers is None:
        raise ConfigError(f"{setting} matches {outside[0]}, which is not in the decoder's layers")
    targets = [Target(*linear, layer) for linear in matching if (layer := _layer(path, linear[0])) in layers]
    missing = sorted(set(layers) - {target.layer for target in targets})
    if not targets or (missing and spec.layers is not None):
        where = f"in layer {missing[0]}" if spec.layers is not None else "in any layer"
        fused = "; experts fused into one parameter cannot be adapted" if fused_experts(model) else ""
        raise ConfigError(f"{setting} matches no linear map {where}{fused}. {_inventory(model, path)}")
    return targets


def _matched(model: PreTrainedModel, spec: LoraSpec) -> set[str]:
    """Match names of modules in all layers by PEFT's plain rule."""
    try:
        rules = spec.peft_config(spec.target_modules, None)
        return {name for name, _ in model.named_modules() if check_target_module_exists(rules, name)}
    except (ValueError, re.error) as error:
        raise ConfigError(f"lora.target_modules={_listed(spec.target_modules)}: {one_line(error)}") from error


def _default(model: PreTrainedModel, path: str, spec: LoraSpec, layers: list[int]) -> list[Target]:
    """Find in each layer the modules of the first of `DEFAULT_KINDS` that exists and that PEFT adapts."""
    maps = [linear for linear in linear_maps(model) if _layer(path, linear[0]) in layers]
    reason = "no linear map has a known name."
    for first in range(len(DEFAULT_KINDS)):
        targets = [target for layer in layers for target in _first_kind(maps, path, layer, DEFAULT_KINDS[first:])]
        complete = {target.layer for target in targets} == set(layers)
        if targets and (complete or spec.layers is None):
            misread = _misread(model.config, spec, targets)
            if misread is None:
                return targets
            reason = misread
    raise ConfigError(
        f"lora.target_modules=auto with lora.layers={layers}: {reason} Name modules. {_inventory(model, path)}"
    )


def _first_kind(
    maps: Sequence[tuple[str, int, int]], path: str, layer: int, kinds: Sequence[re.Pattern[str]]
) -> list[Target]:
    """Find the linear maps of a layer that are of the first kind with any."""
    inside = f"{path}.{layer}."
    names = {linear[0]: f".{linear[0].removeprefix(inside)}" for linear in maps if linear[0].startswith(inside)}
    for kind in kinds:
        targets = [
            Target(*linear, layer)
            for linear in maps
            if linear[0] in names and kind.search(names[linear[0]]) and not _NO_DEFAULT.search(names[linear[0]])
        ]
        if targets:
            return targets
    return []


def _misread(config: PreTrainedConfig, spec: LoraSpec, targets: Sequence[Target]) -> str | None:
    """Return the reason why PEFT would not adapt exactly these modules; None when it does."""
    model, smallest = without_weights(config), replace(spec, rank=1)  # a large rank takes long to construct
    names = [target.name for target in targets]
    listed = f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]
    state = {
        f"base_model.model.{target.name}.lora_{side}.weight": torch.empty(shape, device="meta")
        for target in targets
        for side, shape in (("A", (1, target.in_features)), ("B", (target.out_features, 1)))
    }
    try:
        with warnings.catch_warnings(action="ignore"):
            peft_model = get_peft_model(model, smallest.peft_config(names, None))
            loaded: Any = set_peft_model_state_dict(peft_model, state)
    except Exception as error:  # PEFT refuses with errors of many classes
        return f"PEFT cannot adapt {listed}: {one_line(error)}"
    adapted = {name for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    if adapted != set(names):
        return f"PEFT reads {listed} as {', '.join(sorted(adapted - set(names))) or 'nothing'}, perhaps fused experts."
    if loaded.unexpected_keys or any(".lora_" in key for key in loaded.missing_keys):
        return f"PEFT cannot load an adapter of {listed}: it expects another name."
    return None


def _blocks(model: PreTrainedModel, path: str, spec: LoraSpec, layers: list[int]) -> list[Target]:
    setting = f"lora.block_modules={_listed(spec.target_modules)}"
    try:
        rules = spec.peft_config(spec.target_modules, None)
    except ValueError as error:
        raise ConfigError(f"{setting}: {error}") from error
    size = hidden_size(model)
    targets = [
        Target(name, size, size, layer)
        for name, _ in model.named_modules()
        if (layer := _layer(path, name)) in layers and check_target_module_exists(rules, name)
    ]
    missing = sorted(set(layers) - {target.layer for target in targets})
    if not targets or (missing and spec.layers is not None):
        raise ConfigError(f"{setting} with lora.layers={layers} matches nothing. {_inventory(model, path)}")
    return targets


def _layer(path: str, name: str) -> int | None:
    """Return the index of the decoder layer that contains a module; None outside the layers."""
    inside, _, rest = name.partition(f"{path}.")
    return int(rest.split(".")[0]) if rest and not inside else None


def _listed(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else f"[{','.join(names)}]"


def _inventory(model: PreTrainedModel, path: str) -> str:
    """List the distinct names of modules in the decoder's layers, as a sentence."""
    inside = (name.removeprefix(f"{path}.") for name, _ in model.named_modules() if name.startswith(f"{path}."))
    names = (".".join(part for part in name.split(".") if not part.isdigit()) for name in inside)
    return f"Its layers have: {', '.join(dict.fromkeys(name for name in names if name))}."
