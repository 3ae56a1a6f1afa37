"""The base model of the last pack, kept for the next one."""

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from memlaw.models.base import BaseModel


class BaseModelCache:
    """Keeps one base model, so that a worker does not load it again for its next pack."""

    def __init__(self) -> None:
        self._key: object = None
        self._base: BaseModel | None = None

    def load(self, model: DictConfig, dtype: torch.dtype, device: torch.device) -> BaseModel:
        """Return the base model of `conf/model`; whoever holds on to it keeps it from being dropped.

        Args:
            model: the cell's `model`.
            dtype: of its weights.
            device: that holds them.
        """
        key = OmegaConf.to_container(model), dtype, device
        if self._base is None or key != self._key:
            self.clear()  # before the next one is loaded: RAM may not hold two
            self._base, self._key = instantiate(model, _convert_="all").load(dtype, device), key
        return self._base

    def clear(self) -> None:
        """Drop the model, for instance when a loop that broke off may have left it in any state."""
        self._base = None
