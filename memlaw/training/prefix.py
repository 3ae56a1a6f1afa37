"""The frozen prefix of a model: the modules before its first adapter, which run once per distinct row of tokens.

All layers below the lowest adapted layer compute the same in every step. So does, inside that layer, every module that
ends before an adapter acts, up to the output of the adapted module itself. These outputs are computed once per distinct
row and fed to the suffix, the rest of the model. The arithmetic of the suffix stays the same: logits are bit-identical.

Shapes: R rows, B rows of a batch, T positions, D hidden size.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from transformers import PreTrainedModel

from memlaw.core.errors import is_out_of_memory
from memlaw.models.anatomy import decoder_of, layers_of, layers_path
from memlaw.models.stand_in import StandIn

_exact: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], bool]] = WeakKeyDictionary()
"""Results of `Prefix.is_exact_for`, per model and adapted modules."""


class _Reached(Exception):
    """Raised at the first adapter, after all modules that it depends on have run."""


class _Frozen(StandIn):
    """Takes the place of a frozen module, and returns its input or a given output in the form of the module's output.

    Args:
        module: the frozen module.
        tuple_size: size of the tuple that the module returns; 0: it returns a tensor.
        fed: whether to return `output`, set before each forward; otherwise the input.
    """

    output: torch.Tensor | None = None

    def __init__(self, module: nn.Module, tuple_size: int, fed: bool):
        super().__init__(module)
        self._tuple_size = tuple_size
        self._fed = fed

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        output = self.output if self._fed else _hidden(args, kwargs)
        assert output is not None, "the prefix was not fed"
        return (output, *[None] * (self._tuple_size - 1)) if self._tuple_size else output


def _hidden(args: Any, kwargs: Any) -> torch.Tensor:
    return args[0] if args else kwargs["hidden_states"]


class Prefix:
    """The computation of a frozen model in eval mode before its first adapter acts.

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
            if name.startswith(f"{path}.{first}.") and any(parameter.dim() > 1 for parameter in module.parameters())
        }
        self._cached_inside: list[str] = []
        self._tuple_sizes: dict[str, int] = {}
        self._stand_ins: dict[str, _Frozen] = {}
        self._hidden_BTD: torch.Tensor | None = None

    def refusal(self) -> str | None:
        """Return the reason why the prefix's output may differ from step to step; None when it cannot."""
        for name, module in {**self._below, **self._inside}.items():
            if any(part.training for part in module.modules()):
                return f"{name} is in training mode, where it may drop out at random"
        return None

    @torch.no_grad()
    def is_by_rows(self, input_ids_1T: torch.Tensor) -> bool:
        """Tell whether layers pass on hidden states with a row per row of tokens. This runs one row."""
        return len(self._run(input_ids_1T)[0]) == 1

    def forget_inside(self) -> None:
        """Cache only the input of the first adapted layer, to save RAM."""
        self._inside = {}

    @torch.no_grad()
    def run(self, input_ids_RT: torch.Tensor, batch_rows: int) -> list[torch.Tensor]:
        """Compute the values for `feed`, a row per row of tokens, `batch_rows` rows at a time.

        Returns:
            The input [R, T, D] of layer `first`, then the outputs [R, T, ·] of modules inside it.
        """
        outputs: list[torch.Tensor] = []
        for start in range(0, len(input_ids_RT), batch_rows):
            values = self._run(input_ids_RT[start : start + batch_rows])
            outputs = outputs or [value.new_empty((len(input_ids_RT), *value.shape[1:])) for value in values]
            for output, value in zip(outputs, values, strict=True):
                output[start : start + batch_rows] = value
        return outputs

    def _run(self, input_ids_BT: torch.Tensor) -> list[torch.Tensor]:
        hidden: list[torch.Tensor] = []
        outputs: dict[str, Any] = {}

        def stop(*_: Any) -> None:
            raise _Reached

        with ExitStack() as hooks:

            def note(name: str, module: nn.Module) -> None:
                hook = module.register_forward_hook(lambda _module, _args, output: outputs.update({name: output}))
                hooks.callback(hook.remove)

            def capture(_module: nn.Module, args: Any, kwargs: Any) -> None:
                hidden.append(_hidden(args, kwargs))
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
                return hidden + self._outermost(outputs, len(input_ids_BT))
        raise AssertionError("the decoder did not run its layers in order")

    def _outermost(self, outputs: dict[str, Any], rows: int) -> list[torch.Tensor]:
        """Pick the outermost modules that ran and whose output is one tensor with a row per row of tokens."""
        self._tuple_sizes = {name: len(output) if isinstance(output, tuple) else 0 for name, output in outputs.items()}
        picked: dict[str, torch.Tensor] = {}
        for name in self._inside:  # outer modules come before the ones inside them
            if name in outputs and not any(name.startswith(f"{outer}.") for outer in picked):
                output, *others = outputs[name] if isinstance(outputs[name], tuple) else (outputs[name],)
                alone = isinstance(output, torch.Tensor) and all(other is None for other in others)
                if alone and output.dim() > 2 and len(output) == rows:
                    picked[name] = output
        self._cached_inside = list(picked)
        return list(picked.values())

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """Skip the prefix inside the context, and move its weights off the GPU.

        Call `run` before it, and `feed` before each forward inside it. An exception restores the modules, but may leave
        their weights off the GPU.
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
        """Restore the whole model inside the context, which must be inside `replaced`, e.g. to write text."""
        device, stand_ins = self._model.device, self._stand_ins
        self._stand_ins = {}
        try:
            for name, stand_in in stand_ins.items():
                self._model.set_submodule(name, stand_in.original.to(device))
            yield
        finally:
            for name, stand_in in stand_ins.items():
                stand_in.original.to("cpu")
                self._model.set_submodule(name, stand_in)
            self._stand_ins = stand_ins

    @contextmanager
    def _swapped(self) -> Iterator[list[nn.Module]]:
        originals = {name: self._model.get_submodule(name) for name in [*self._below, *self._cached_inside]}
        self._stand_ins = {
            name: _Frozen(module, self._tuple_sizes[name], fed=name in self._cached_inside)
            for name, module in originals.items()
        }
        layer = self._layers[self._first]
        swap = layer.register_forward_pre_hook(self._swap, with_kwargs=True)
        try:
            for name, stand_in in self._stand_ins.items():
                self._model.set_submodule(name, stand_in)
            yield list(originals.values())
        finally:
            swap.remove()
            for name, module in originals.items():
                self._model.set_submodule(name, module)

    def feed(self, values: Sequence[torch.Tensor]) -> None:
        """Pass values of `run`, for the rows of a batch, to the next forward."""
        self._hidden_BTD, *outputs = values
        for name, output in zip(self._cached_inside, outputs, strict=True):
            self._stand_ins[name].output = output

    def _swap(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not self._stand_ins:  # inside `restored`
            return None
        if args:
            return (self._hidden_BTD, *args[1:]), kwargs
        return args, {**kwargs, "hidden_states": self._hidden_BTD}

    @torch.no_grad()
    def is_exact_for(self, input_ids_1T: torch.Tensor) -> bool:
        """Tell whether the model depends on its first layers through the cached outputs alone.

        This runs one row, once for the same model and adapted modules.
        """
        results = _exact.setdefault(self._model, {})
        modules = (self._first, *self._adapted, *self._inside)
        if modules not in results:
            results[modules] = self._try(input_ids_1T)
        return results[modules]

    def _try(self, input_ids_1T: torch.Tensor) -> bool:
        values = self.run(input_ids_1T, 1)
        expected = self._decode(input_ids_1T)
        self._decode(input_ids_1T.flip(1))  # state that layers share is now that of another row
        with self._swapped():
            self.feed(values)
            try:
                return torch.equal(self._decode(input_ids_1T), expected)
            except Exception as error:  # a later layer may fail in any way without state of a first one
                if is_out_of_memory(error):
                    raise
                return False

    def _decode(self, input_ids_BT: torch.Tensor) -> torch.Tensor:
        return self._decoder(input_ids=input_ids_BT, use_cache=False).last_hidden_state
