"""The frozen prefix: run what comes before the first adapter once, then train only what comes after it.

Everything below the lowest adapted layer sees the same tokens with the same weights in every step, and so
does, inside that layer, every module that is done before an adapter acts, the adapted module's own output
included. These outputs are computed once per distinct row and fed to the suffix. The arithmetic of the
suffix is untouched: logits are bit-identical.

Shapes: R rows, B rows of a batch, T positions, D hidden size.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import PreTrainedModel

from memlaw.anatomy import decoder_of, layers_of, layers_path
from memlaw.errors import is_out_of_memory

_exact: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], bool]] = WeakKeyDictionary()
"""What `Prefix.is_exact_for` found, per model and place of the adapters."""


class _Reached(Exception):
    """The first adapter was reached; all that its pass depends on has run."""


class _StandIn(nn.Module):
    """Stands where a frozen module was; gives back its input, or what it is told to, in the module's own form."""

    def __init__(self, module: nn.Module, tuple_size: int, told: bool):
        super().__init__()
        self._module = (module,)  # in a tuple: not a submodule, only asked for attributes such as its type
        self._tuple_size = tuple_size
        self._told = told
        self.output: torch.Tensor | None = None

    @property
    def original(self) -> nn.Module:
        """The module whose place it takes."""
        return self._module[0]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._module[0], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.output if self._told else _first(args, kwargs)
        assert output is not None, "the prefix was not fed"
        return (output, *[None] * (self._tuple_size - 1)) if self._tuple_size else output


def _first(args: Any, kwargs: Any) -> torch.Tensor:
    return args[0] if args else kwargs["hidden_states"]


class Prefix:
    """What a frozen model in eval mode computes before its first adapter acts.

    Args:
        model: the base model, without adapters.
        first: index of the lowest adapted layer.
        adapted: dotted names of all adapted modules.
    """

    def __init__(self, model: PreTrainedModel, first: int, adapted: Sequence[str]):
        self._model = model
        self._decoder = decoder_of(model)
        self._layers = layers_of(model)
        self._first = first
        self._adapted = {name: model.get_submodule(name) for name in adapted}
        path = layers_path(model)
        self._below = {f"{path}.{index}": self._layers[index] for index in range(first)}
        self._inside = {
            name: module
            for name, module in model.named_modules()
            if name.startswith(f"{path}.{first}.") and any(weight.dim() > 1 for weight in module.parameters())
        }
        self._kept: list[str] = []
        self._tuple_sizes: dict[str, int] = {}
        self._standing: dict[str, _StandIn] = {}

    def refusal(self) -> str | None:
        """Why the prefix's output may differ from step to step; None when it cannot."""
        for name, module in {**self._below, **self._inside}.items():
            if any(part.training for part in module.modules()):
                return f"{name} is in training mode, where it may drop out at random"
        return None

    @torch.no_grad()
    def is_by_rows(self, input_ids_1T: torch.Tensor) -> bool:
        """Whether layers hand on hidden states with a row per row of tokens; tries one row."""
        return len(self._run(input_ids_1T)[0]) == 1

    def forget_inside(self) -> None:
        """Keep the input of the first adapted layer only, to save memory."""
        self._inside = {}

    @torch.no_grad()
    def run(self, input_ids_RT: torch.Tensor, batch_rows: int) -> list[torch.Tensor]:
        """What `feed` takes, a row per row of tokens, computed `batch_rows` rows at a time.

        Returns:
            The input [R, T, D] of layer `first`, then the outputs [R, T, ·] of modules inside it.
        """
        kept: list[torch.Tensor] = []
        for start in range(0, len(input_ids_RT), batch_rows):
            values = self._run(input_ids_RT[start : start + batch_rows])
            kept = kept or [value.new_empty((len(input_ids_RT), *value.shape[1:])) for value in values]
            for whole, value in zip(kept, values, strict=True):
                whole[start : start + batch_rows] = value
        return kept

    def _run(self, input_ids_BT: torch.Tensor) -> list[torch.Tensor]:
        hidden: list[torch.Tensor] = []
        seen: dict[str, Any] = {}

        def stop(*_: Any) -> None:
            raise _Reached

        with ExitStack() as hooks:

            def note(name: str, module: nn.Module) -> None:
                hook = module.register_forward_hook(lambda _module, _args, output: seen.update({name: output}))
                hooks.callback(hook.remove)

            def capture(_module: nn.Module, args: Any, kwargs: Any) -> None:
                hidden.append(_first(args, kwargs))
                if not self._inside:
                    raise _Reached

            for name, module in [*self._below.items(), *self._inside.items()]:
                note(name, module)
            for module in self._adapted.values():
                hooks.callback(module.register_forward_hook(stop).remove)
            layer = self._layers[self._first]
            hooks.callback(layer.register_forward_pre_hook(capture, with_kwargs=True).remove)
            try:
                self._decode(input_ids_BT)
            except _Reached:
                return hidden + self._take(seen, len(input_ids_BT))
        raise AssertionError("the decoder did not run its layers in order")

    def _take(self, seen: dict[str, Any], rows: int) -> list[torch.Tensor]:
        """Of the modules that ran, the outermost whose output is one tensor, a row per row of tokens."""
        self._tuple_sizes = {name: len(output) if isinstance(output, tuple) else 0 for name, output in seen.items()}
        kept: dict[str, torch.Tensor] = {}
        for name in self._inside:  # outer modules come before the ones inside them
            if name in seen and not any(name.startswith(f"{outer}.") for outer in kept):
                output, *others = seen[name] if isinstance(seen[name], tuple) else (seen[name],)
                one = isinstance(output, torch.Tensor) and all(other is None for other in others)
                if one and output.dim() > 2 and len(output) == rows:
                    kept[name] = output
        self._kept = list(kept)
        return list(kept.values())

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Within it the prefix costs nothing and its weights stay off the GPU; `run` before, `feed` each forward.

        After an exception the modules stand where they stood, but their weights may still be off the GPU.
        """
        device = self._model.device
        with self._swapped() as originals:
            for module in originals:
                module.to("cpu")
            yield
        for module in originals:
            module.to(device)

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Within it, inside `replaced`, the model is whole again, e.g. to write text."""
        device, standing = self._model.device, self._standing
        self._standing = {}
        try:
            for name, stand_in in standing.items():
                self._model.set_submodule(name, stand_in.original.to(device))
            yield
        finally:
            for name, stand_in in standing.items():
                stand_in.original.to("cpu")
                self._model.set_submodule(name, stand_in)
            self._standing = standing

    @contextmanager
    def _swapped(self) -> Iterator[list[nn.Module]]:
        originals = {name: self._model.get_submodule(name) for name in [*self._below, *self._kept]}
        self._standing = {
            name: _StandIn(module, self._tuple_sizes[name], told=name in self._kept)
            for name, module in originals.items()
        }
        layer = self._layers[self._first]
        swap = layer.register_forward_pre_hook(self._swap, with_kwargs=True)
        try:
            for name, stand_in in self._standing.items():
                self._model.set_submodule(name, stand_in)
            yield list(originals.values())
        finally:
            swap.remove()
            for name, module in originals.items():
                self._model.set_submodule(name, module)

    def feed(self, values: Sequence[torch.Tensor]) -> None:
        """Give the next forward the rows of its batch: what `run` returned for them."""
        self._hidden_BTD, *outputs = values
        for name, output in zip(self._kept, outputs, strict=True):
            self._standing[name].output = output

    def _swap(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._standing:  # the layers are themselves
            return None
        if args:
            return (self._hidden_BTD, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": self._hidden_BTD}

    @torch.no_grad()
    def is_exact_for(self, input_ids_1T: torch.Tensor) -> bool:
        """Whether the model really depends on its first layers through what is kept alone; tries one row.

        A model is tried once for a place of the adapters.
        """
        known = _exact.setdefault(self._model, {})
        place = (self._first, *self._adapted, *self._inside)
        if place not in known:
            known[place] = self._try(input_ids_1T)
        return known[place]

    def _try(self, input_ids_1T: torch.Tensor) -> bool:
        values = self.run(input_ids_1T, 1)
        expected = self._decode(input_ids_1T)
        self._decode(input_ids_1T.flip(1))  # whatever layers leave for each other, it is now another row's
        with self._swapped():
            self.feed(values)
            try:
                return torch.equal(self._decode(input_ids_1T), expected)
            except Exception as error:  # a later layer missed, in its own way, what a first one did not leave
                if is_out_of_memory(error):
                    raise
                return False

    def _decode(self, input_ids_BT: torch.Tensor) -> torch.Tensor:
        return self._decoder(input_ids=input_ids_BT, use_cache=False).last_hidden_state
