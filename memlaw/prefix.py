"""The frozen prefix: run the layers below the lowest adapted one once, then train only the suffix.

The layers below an adapter see the same tokens with the same weights in every step, so their output is
computed once per distinct row and fed to the first layer of the suffix. The arithmetic of the suffix is
untouched: logits are bit-identical.

Shapes: R distinct rows, B rows of a batch, T positions, D hidden size.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel


class _Reached(Exception):
    """The first layer of the suffix was reached; carries its input."""

    def __init__(self, hidden_BTD: torch.Tensor):
        self.hidden_BTD = hidden_BTD


class _PassThrough(nn.Module):
    """Stands where a prefix layer was; returns its input in the layer's own form."""

    def __init__(self, layer: nn.Module, returns_tuple: bool):
        super().__init__()
        self._layer = (layer,)  # in a tuple: not a submodule, only asked for attributes such as its type
        self._returns_tuple = returns_tuple

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._layer[0], name)

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> Any:
        return (hidden_states,) if self._returns_tuple else hidden_states


def layers_path(model: nn.Module, config: PreTrainedConfig) -> str | None:
    """Dotted name of the ModuleList that holds the decoder's layers; None when there is no such list."""
    depth = config.get_text_config().num_hidden_layers
    lists = (name for name, module in model.named_modules() if _is_stack(module, depth))
    return next(lists, None)


def _is_stack(module: nn.Module, depth: int) -> bool:
    return isinstance(module, nn.ModuleList) and len(module) == depth


class Prefix:
    """Layers 0 to `first`−1 of a frozen model in eval mode."""

    def __init__(self, model: PreTrainedModel, first: int):
        self._decoder = model.get_decoder()
        path = layers_path(model, model.config)
        assert path is not None and not model.training
        layers = model.get_submodule(path)
        assert isinstance(layers, nn.ModuleList)
        self._layers = layers
        self._first = first
        self._originals = list(layers)
        self._returns_tuple = False

    @torch.no_grad()
    def run(self, input_ids_RT: torch.Tensor, batch_rows: int) -> torch.Tensor:
        """The input of layer `first` for each row: hidden_RTD, computed `batch_rows` rows at a time."""
        form = self._layers[0].register_forward_hook(self._note_form)
        stop = self._layers[self._first].register_forward_pre_hook(self._capture, with_kwargs=True)
        try:
            return torch.cat([self._run(rows) for rows in input_ids_RT.split(batch_rows)])
        finally:
            form.remove()
            stop.remove()

    def _run(self, input_ids_BT: torch.Tensor) -> torch.Tensor:
        try:
            self._decoder(input_ids=input_ids_BT, use_cache=False)
        except _Reached as reached:
            return reached.hidden_BTD
        raise AssertionError("the decoder did not run its layers in order")

    def _note_form(self, _module: nn.Module, _args: Any, output: Any) -> None:
        self._returns_tuple = isinstance(output, tuple)

    @staticmethod
    def _capture(_module: nn.Module, args: Any, kwargs: Any) -> None:
        raise _Reached(args[0] if args else kwargs["hidden_states"])

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Within it the prefix's layers do nothing; call after `run`, and feed each forward with `feed`."""
        for index, layer in enumerate(self._originals[: self._first]):
            self._layers[index] = _PassThrough(layer, self._returns_tuple)
        try:
            yield
        finally:
            for index, layer in enumerate(self._originals[: self._first]):
                self._layers[index] = layer

    @contextmanager
    def feed(self, hidden_BTD: torch.Tensor) -> Iterator[None]:
        """Within it layer `first` takes `hidden_BTD` instead of what the layers before it pass on."""

        def swap(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if args:
                return (hidden_BTD, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": hidden_BTD}

        handle = self._layers[self._first].register_forward_pre_hook(swap, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
