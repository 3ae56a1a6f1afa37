"""The parts of a base model: its decoder, the decoder's layers, and the linear maps in them.

All functions look at the modules, which every architecture has. They do not read the configuration: its attributes
differ between architectures, may be missing, or may differ from layer to layer.
"""

from collections import Counter
from collections.abc import Iterator
from typing import cast

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


def decoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """Return the part of a causal LM that turns token ids into hidden states."""
    embeddings = model.get_input_embeddings()
    candidates = (
        model.get_decoder(),
        *model.children(),
    )  # `get_decoder` of some models returns the model itself, or its head
    return next(part for part in candidates if part is not model and _contains(part, embeddings))


def _contains(module: nn.Module, part: nn.Module) -> bool:
    return any(inner is part for inner in module.modules())


def layers_path(model: PreTrainedModel) -> str | None:
    """Return the dotted name of the ModuleList of the decoder's layers; None when there is no list.

    It is the list with the most parameters. Other lists are inside layers, or have small members.
    """
    decoder = decoder_of(model)
    inside = {id(part) for part in decoder.modules()}
    lists = {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and id(module) in inside
    }
    return max(lists, key=lambda name: lists[name], default=None)


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """Return the decoder's layers; the model must have such a list (`layers_path`)."""
    path = layers_path(model)
    assert path is not None
    return cast(nn.ModuleList, model.get_submodule(path))


def linear_maps(module: nn.Module) -> Iterator[tuple[str, int, int]]:
    """Yield the dotted name, input size and output size of each linear map, in the order of registration."""
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear):
            yield name, part.in_features, part.out_features
        elif isinstance(part, Conv1D):
            yield name, part.nx, part.nf


def hidden_size(model: PreTrainedModel) -> int:
    """Return D, the size of the hidden states between layers.

    It is the head's input size, if a linear map of the first layer has that size. Otherwise it is the most frequent
    input or output size of these linear maps.
    """
    of_head = _head(model).weight.shape[1]
    sizes = Counter(size for _, *sizes in linear_maps(layers_of(model)[0]) for size in sizes)
    return of_head if of_head in sizes else sizes.most_common(1)[0][0]


def vocabulary_size(model: PreTrainedModel) -> int:
    """Return V, the number of logits; for a model without a head, the number of rows of its embedding."""
    return _head(model).weight.shape[0]


def _head(model: PreTrainedModel) -> nn.Linear:
    return cast(nn.Linear, model.get_output_embeddings() or model.get_input_embeddings())


def fused_experts(module: nn.Module) -> list[nn.Parameter]:
    """List the parameters [experts, ·, ·] that fuse the experts of a mixture."""
    return [value for name, value in module.named_parameters() if value.dim() == 3 and "expert" in name]
