"""Describe the machine on which packs train. Importing this module does not import torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import torch

GPU_SHARE = 0.8
"""Share of a GPU's whole memory that a pack and its base model may fill."""

CPU_SHARE = 0.5
"""Share of a machine's RAM that all packs and their base models may fill: of its free RAM, or of a job's."""

PREFIX_SHARE = 0.25
"""Share of a process's free RAM, or of a GPU's free memory, for the cached prefix: `trainer.prefix_cache_gb=auto`."""


@dataclass(frozen=True)
class Machine:
    """The machine on which packs train.

    Attributes:
        device: device of a pack, as torch names it (`cpu`, `cuda`, `cuda:1`). On a remote machine without an index.
        ram_bytes: RAM, or memory of a GPU, for a pack and its base model where `pack.memory_gb` is `auto`.
        workers: packs that train at a time.
        remote: whether it is another machine than this one, so that nothing can be measured.
    """

    device: str
    ram_bytes: int
    workers: int
    remote: bool = False

    @classmethod
    def here(cls, device: str, workers: int) -> "Machine":
        """Describe this machine. A pack gets a share of its GPU, or its part of a share of the free RAM.

        Args:
            device: `trainer.device`.
            workers: packs that train at a time.

        Raises:
            ConfigError: the device is not usable.
        """
        import torch

        from memlaw.models.devices import resolve_device

        chosen = resolve_device(device)
        if chosen.type == "cuda":
            ram_bytes = int(GPU_SHARE * torch.cuda.get_device_properties(chosen).total_memory)
        else:
            ram_bytes = int(CPU_SHARE * psutil.virtual_memory().available / workers)
        return cls(str(chosen), ram_bytes, workers)

    @property
    def device_type(self) -> str:
        """Return `cpu` or `cuda`."""
        return self.device.partition(":")[0]

    def dtype(self, precision: str) -> "torch.dtype":
        """Choose the dtype of the base model. On a remote GPU `auto` is bf16, which every GPU since Ampere has.

        Raises:
            ConfigError: `precision` is not an allowed value.
        """
        import torch

        from memlaw.models.devices import resolve_precision

        if self.remote and self.device_type == "cuda" and precision == "auto":
            return torch.bfloat16
        return resolve_precision(precision, torch.device(self.device))
