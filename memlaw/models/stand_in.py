"""A module that takes the place of another one in a model."""

from typing import Any

from torch import nn


class StandIn(nn.Module):
    """Takes the place of a module, and has its attributes; a subclass says what its forward returns.

    Args:
        original: the replaced module. Models read attributes of it, such as its type.
    """

    def __init__(self, original: nn.Module):
        super().__init__()
        self._original = (original,)  # in a tuple, so that it is no submodule

    @property
    def original(self) -> nn.Module:
        """The replaced module."""
        return self._original[0]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self._original[0], name)
