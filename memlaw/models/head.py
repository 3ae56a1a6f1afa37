"""The head of a causal LM: from the decoder's hidden states to logits.

Shapes: S scored tokens, D hidden size, V vocabulary.
"""

import copy
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from memlaw.models.anatomy import decoder_of, vocabulary_size
from memlaw.models.stand_in import StandIn

CHUNK_BYTES = {"cpu": 32 * 2**20, "cuda": 512 * 2**20}
"""Bytes of fp32 logits at a time, by kind of device, so that they do not grow with the sequence length."""


class _GivenOutput(StandIn):
    """Takes the place of a decoder and returns the given output."""

    output: ModelOutput | None = None

    def forward(self, *_: Any, **__: Any) -> ModelOutput:
        assert self.output is not None, "the decoder's output was not given"
        return self.output


class Head:
    """Computes logits as the model does after its decoder: projection, scaling, soft-capping.

    It is a view of the model with the same weights, whose decoder returns given hidden states. So its logits are equal
    to the model's for every architecture.
    """

    def __init__(self, model: PreTrainedModel):
        self.vocab_size = vocabulary_size(model)
        decoder = decoder_of(model)
        path = next(name for name, module in model.named_modules() if module is decoder)
        self._given = _GivenOutput(decoder)
        self._tail = _with_replaced(model, path.split("."), self._given)

    def __call__(self, hidden_SD: torch.Tensor, decoded: ModelOutput) -> torch.Tensor:
        """Return the logits [S, V] of hidden states [S, D] from the decoder's output `decoded`."""
        self._given.output = type(decoded)(**{**decoded, "last_hidden_state": hidden_SD[None]})
        ids_1S = torch.zeros(
            1, len(hidden_SD), dtype=torch.long, device=hidden_SD.device
        )  # the decoder ignores the ids
        logits_SV: torch.Tensor = self._tail(input_ids=ids_1S, use_cache=False).logits[0]
        self._given.output = None
        return logits_SV

    def chunk_rows(self, device: torch.device) -> int:
        """Return the most hidden states of a call, so that its fp32 logits stay within `CHUNK_BYTES`."""
        return max(1, CHUNK_BYTES.get(device.type, CHUNK_BYTES["cuda"]) // (4 * self.vocab_size))


def _with_replaced(module: nn.Module, path: list[str], replacement: nn.Module) -> Any:
    """Copy a module, but not its weights, with the submodule at `path` replaced."""
    view = copy.copy(module)
    view.__dict__["_modules"] = dict(module._modules)
    child = module._modules[path[0]]
    assert child is not None
    view._modules[path[0]] = _with_replaced(child, path[1:], replacement) if path[1:] else replacement
    return view
