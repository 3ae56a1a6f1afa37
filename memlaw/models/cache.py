"""The base model of the last pack, kept for the next one."""

import torch

from memlaw.models.base import BaseModel
from memlaw.models.sources import ModelSource


class BaseModelCache:
    """Keeps one base model, so that a worker does not load it again for its next pack."""

    def __init__(self) -> None:
        self._key: tuple[ModelSource, torch.dtype, torch.device] | None = None
        self._base: BaseModel | None = None

    def load(self, source: ModelSource, dtype: torch.dtype, device: torch.device) -> BaseModel:
        """Return the base model of a source. A caller that holds on to it keeps `clear` from freeing its bytes.

        Args:
            source: equal sources give the same model.
            dtype: of its weights.
            device: that holds them.
        """
        key = source, dtype, device
        if self._base is None or key != self._key:
            self.clear()  # before the next one is loaded: the RAM may not suffice for two
            self._base, self._key = source.load(dtype, device), key
        return self._base

    def clear(self) -> None:
        """Drop the model, for instance when a loop that broke off may have left it in any state."""
        self._base = None
