"""What a base model is made of: its decoder, the decoder's layers, and the linear maps in them.

Everything is read off the modules, which every architecture has, and not off the configuration, whose attributes
differ between architectures, may be missing, or may differ from layer to layer.
"""

from collections import Counter
from collections.abc import Iterator
from typing import cast

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


def decoder_of(model: PreTrainedModel) -> PreTrainedModel:
    """The part of a causal LM that turns token ids into hidden states."""
    embeddings = model.get_input_embeddings()
    candidates = (model.get_decoder(), *model.children())  # some models name themselves, or their head
    return next(part for part in candidates if part is not model and _holds(part, embeddings))


def _holds(module: nn.Module, part: nn.Module) -> bool:
    return any(inner is part for inner in module.modules())


def layers_path(model: PreTrainedModel) -> str | None:
    """Dotted name of the ModuleList that holds the decoder's layers; None when there is no list.

    It is the list with the most parameters: other lists lie inside layers, or hold something small.
    """
    decoder = decoder_of(model)
    inside = {id(part) for part in decoder.modules()}
    lists = {
        name: sum(weight.numel() for weight in module.parameters())
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and id(module) in inside
    }
    return max(lists, key=lambda name: lists[name], default=None)


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """The decoder's layers; the model must have such a list (`layers_path`)."""
    path = layers_path(model)
    assert path is not None
    return cast(nn.ModuleList, model.get_submodule(path))


def linear_maps(module: nn.Module) -> Iterator[tuple[str, int, int]]:
    """Dotted name, input size and output size of each linear map, in the order in which they are registered."""
    for name, part in module.named_modules():
        if isinstance(part, nn.Linear):
            yield name, part.in_features, part.out_features
        elif isinstance(part, Conv1D):
            yield name, part.nx, part.nf


def hidden_size(model: PreTrainedModel) -> int:
    """D, the size of the hidden states between layers.

    It is the head's, or, where the layers are of another size than the head, what most of their linear maps take or
    give.
    """
    of_head = _head(model).weight.shape[1]
    sizes = Counter(size for _, *sizes in linear_maps(layers_of(model)[0]) for size in sizes)
    return of_head if of_head in sizes else sizes.most_common(1)[0][0]


def vocabulary_size(model: PreTrainedModel) -> int:
    """V, the number of logits; of a model without a head of its own, the rows of its embedding."""
    return _head(model).weight.shape[0]


def _head(model: PreTrainedModel) -> nn.Linear:
    return cast(nn.Linear, model.get_output_embeddings() or model.get_input_embeddings())


def fused_experts(module: nn.Module) -> list[nn.Parameter]:
    """The parameters [experts, ·, ·] that hold the weights of all experts of a mixture at once."""
    return [weight for name, weight in module.named_parameters() if weight.dim() == 3 and "expert" in name]
