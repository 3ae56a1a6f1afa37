"""Measure the sizes of a base model before its weights are loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from transformers import PreTrainedModel

from memlaw.adapters.targets import Target
from memlaw.models.anatomy import fused_experts, hidden_size, layers_of, layers_path, linear_maps, vocabulary_size


@dataclass(frozen=True)
class ModelShape:
    """The sizes of a base model on which the RAM and work of a cell depend.

    Attributes:
        hidden, vocabulary: D and V.
        intermediate: input size of the widest linear map to D outside attention, in the first adapted layer; 0 without
            such a map. For fused experts, the size of a single expert.
        attention: input size of the last linear map of that layer's attention; 0 without attention.
        layers: number of decoder layers.
        parameters: parameters of the whole model.
        per_layer: mean number of parameters in the matrices of a decoder layer.
        after: parameters of those matrices of the first adapted layer that come after its first adapted module, in
            the order in which the model registers them.
    """

    hidden: int
    vocabulary: int
    intermediate: int
    attention: int
    layers: int
    parameters: int
    per_layer: float
    after: int

    @classmethod
    def of(cls, model: PreTrainedModel, targets: Sequence[Target]) -> "ModelShape":
        """Measure a model, with or without its weights loaded.

        Args:
            model: the base model.
            targets: the modules that cells adapt.
        """
        path, layers, hidden = layers_path(model), layers_of(model), hidden_size(model)
        matrices = {name: weight.numel() for name, weight in model.named_parameters() if weight.dim() > 1}
        in_layers = sum(size for name, size in matrices.items() if name.startswith(f"{path}."))
        first = min(target.layer for target in targets)
        names = [name for name in matrices if name.startswith(f"{path}.{first}.")]
        adapted = [target.name for target in targets if target.layer == first]
        last = min(
            max((i for i, name in enumerate(names) if name.startswith(f"{module}.")), default=len(names) - 1)
            for module in adapted
        )
        attention, intermediate = _widths(layers[first], hidden)
        return cls(
            hidden=hidden,
            vocabulary=vocabulary_size(model),
            intermediate=intermediate,
            attention=attention,
            layers=len(layers),
            parameters=model.num_parameters(),
            per_layer=in_layers / len(layers),
            after=sum(matrices[name] for name in names[last + 1 :]),
        )


def _widths(layer: nn.Module, hidden: int) -> tuple[int, int]:
    """Return the inner sizes of a layer's attention and of its other modules: input sizes of linear maps to D."""
    attending = [name for name, part in layer.named_modules() if "attention" in type(part).__name__.lower()]
    back = {name: size for name, size, out in linear_maps(layer) if out == hidden}
    inside = {name: size for name, size in back.items() if name.startswith(tuple(f"{part}." for part in attending))}
    outside = [size for name, size in back.items() if name not in inside]
    fused = [size for weight in fused_experts(layer) for size in weight.shape[1:] if size != hidden]
    return max(inside.values(), default=0), max([*outside, min(fused, default=0)], default=0)
