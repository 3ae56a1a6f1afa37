"""Which modules a cell adapts, by PEFT's own rules, found on a model without weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from peft import inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import check_target_module_exists
from torch import nn
from transformers import PreTrainedConfig

from memlaw.base_model import without_weights
from memlaw.errors import ConfigError, one_line
from memlaw.lora_spec import LoraSpec
from memlaw.prefix import layers_path


@dataclass(frozen=True)
class Target:
    """A module to adapt: its dotted name, its sizes and the decoder layer that holds it."""

    name: str
    in_features: int
    out_features: int
    layer: int


def layer_indices(layers: Sequence[int | float] | None, depth: int) -> list[int] | None:
    """Layer indices from indices (negative from the end) and fractions of depth, ascending and distinct.

    Raises:
        ConfigError: an index outside the model, or a fraction outside (0, 1).
    """
    if layers is None:
        return None
    found = set()
    for layer in layers:
        if isinstance(layer, float) and 0 < layer < 1:
            found.add(int(layer * depth))
        elif isinstance(layer, int) and -depth <= layer < depth:
            found.add(layer % depth)
        else:
            raise ConfigError(
                f"lora.layers: {layer} is neither an index from {-depth} to {depth - 1} "
                "nor a fraction of depth between 0 and 1"
            )
    return sorted(found)


def resolve_targets(config: PreTrainedConfig, spec: LoraSpec) -> list[Target]:
    """The modules that `spec` adapts, by PEFT's own rules, found on a model without weights.

    Raises:
        ConfigError: nothing matches (lists what the model has), or a match lies outside the decoder layers.
    """
    layers = layer_indices(spec.layers, config.get_text_config().num_hidden_layers)
    model = without_weights(config)
    stack = layers_path(model, config)
    find = _find_blocks if spec.placement == "block" else _find_linear
    found = find(model, spec, layers, config)
    targets = []
    for name, in_features, out_features in found:
        inside, _, rest = name.partition(f"{stack}.")
        if stack is None or inside or not rest:
            raise ConfigError(f"lora.target_modules matches {name}, which is not in the decoder's layers")
        targets.append(Target(name, in_features, out_features, int(rest.split(".")[0])))
    return targets


def _find_linear(
    model: nn.Module, spec: LoraSpec, layers: list[int] | None, _: PreTrainedConfig
) -> list[tuple[str, int, int]]:
    available = _module_names(model)
    try:
        inject_adapter_in_model(spec.peft_config(spec.target_modules, layers), model)
    except ValueError as error:
        raise ConfigError(
            f"lora.target_modules={_listed(spec.target_modules)} with lora.layers={layers}: {one_line(error)} "
            f"The model has: {available}. A regex or all-linear needs lora.layers=null."
        ) from error
    return [
        (name, cast(int, module.in_features), cast(int, module.out_features))
        for name, module in model.named_modules()
        if isinstance(module, LoraLayer)
    ]


def _find_blocks(
    model: nn.Module, spec: LoraSpec, layers: list[int] | None, config: PreTrainedConfig
) -> list[tuple[str, int, int]]:
    try:
        rules = spec.peft_config(spec.target_modules, layers)
    except ValueError as error:
        raise ConfigError(f"lora.block_modules={_listed(spec.target_modules)}: {error}") from error
    hidden = config.get_text_config().hidden_size
    found = [(name, hidden, hidden) for name, _ in model.named_modules() if check_target_module_exists(rules, name)]
    if not found:
        raise ConfigError(
            f"lora.block_modules={_listed(spec.target_modules)} with lora.layers={layers} matches nothing. "
            f"The model has: {_module_names(model)}"
        )
    return found


def _listed(names: str | tuple[str, ...]) -> str:
    return names if isinstance(names, str) else f"[{','.join(names)}]"


def _module_names(model: nn.Module) -> str:
    """The distinct names of modules, with layer numbers left out."""
    names = (".".join(part for part in name.split(".") if not part.isdigit()) for name, _ in model.named_modules())
    return ", ".join(dict.fromkeys(name for name in names if name))
