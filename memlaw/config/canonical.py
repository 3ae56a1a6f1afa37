"""Give equal settings the same spelling before a cell's identity is computed.

`lora.layers` can name the same layer differently: with three layers, -1, [-1], 2, [2] and 0.667 all mean the last.
"""

from collections.abc import Callable, Sequence
from typing import Any

from memlaw.core.errors import ConfigError, spelled

Layers = tuple[int | float, ...]


def canonical_lora(lora: dict[str, Any], depth: Callable[[], int | None]) -> dict[str, Any]:
    """Spell the section `lora`: layers as ascending indices, names of modules in alphabetical order.

    Args:
        lora: the values.
        depth: returns the number of the model's layers, or None where the model's configuration cannot be read. It is
            called where a layer is counted from the end or given as a fraction. With None such layers stay unchanged.

    Raises:
        ConfigError: `lora.layers` is no list of layers, or names a layer that the model lacks.
    """
    layers = parsed_layers(lora["layers"])
    if layers is not None:
        relative = any(layer < 0 or isinstance(layer, float) for layer in layers)
        count = depth() if relative else 1 + max(int(layer) for layer in layers)
        layers = tuple(layer_indices(layers, count)) if count else layers
    modules = {key: _sorted_names(lora[key]) for key in ("target_modules", "block_modules")}
    return {**lora, **modules, "layers": None if layers is None else list(layers)}


def _sorted_names(names: Any) -> Any:
    """Sort a list of names. Return anything else, such as a regex, unchanged."""
    is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return sorted(set(names)) if is_list else names


def parsed_layers(value: Any) -> Layers | None:
    """Return `lora.layers` as a tuple of indices and fractions; None is every layer. Raises ConfigError otherwise."""
    if value is None:
        return None
    layers = (value,) if isinstance(value, int | float) else value
    if (
        not isinstance(layers, Sequence)
        or isinstance(layers, str)
        or not layers
        or not all(isinstance(layer, int | float) and not isinstance(layer, bool) for layer in layers)
    ):
        raise ConfigError(f"lora.layers={spelled(value)} is neither null nor a list of indices or fractions of depth")
    return tuple(layers)


def layer_indices(layers: Sequence[int | float] | None, depth: int) -> list[int]:
    """Convert indices (negative from the end) and fractions of depth to ascending, distinct layer indices.

    Args:
        layers: indices and fractions; None is every layer.
        depth: layers of the model.

    Raises:
        ConfigError: an index outside the model, or a fraction outside (0, 1).
    """
    if layers is None:
        return list(range(depth))
    indices = set()
    for layer in layers:
        if isinstance(layer, float) and 0 < layer < 1:
            indices.add(int(layer * depth))
        elif isinstance(layer, int) and -depth <= layer < depth:
            indices.add(layer % depth)
        else:
            raise ConfigError(
                f"lora.layers: {layer} is neither an index from {-depth} to {depth - 1} "
                "nor a fraction of depth between 0 and 1"
            )
    return sorted(indices)
