"""What packs train on."""

from dataclasses import dataclass

import psutil
import torch

from memlaw.models.devices import resolve_device, resolve_precision

GPU_SHARE = 0.8
"""Share of a GPU's whole memory that packs and their base model may fill."""

CPU_SHARE = 0.5
"""Share of this machine's free RAM that all workers together may fill."""


@dataclass(frozen=True)
class Machine:
    """What packs train on.

    Attributes:
        device: of a pack; of a remote machine, its type alone.
        ram_bytes: RAM for a pack and its base model, where `pack.memory_gb` is `auto`.
        workers: packs that train at a time.
        remote: whether it is another machine than this one, of which nothing can be measured here.
    """

    device: torch.device
    ram_bytes: int
    workers: int
    remote: bool = False

    @classmethod
    def here(cls, device: str, workers: int) -> "Machine":
        """Describe this machine: a pack has its share of a GPU, or of the RAM that is free.

        Raises:
            ConfigError: `device` (`trainer.device`) is not usable.
        """
        chosen = resolve_device(device)
        if chosen.type == "cuda":
            free = int(GPU_SHARE * torch.cuda.get_device_properties(chosen).total_memory)
        else:
            free = int(CPU_SHARE * psutil.virtual_memory().available / workers)
        return cls(chosen, free, workers)

    def dtype(self, precision: str) -> torch.dtype:
        """Choose the dtype of the base model; `auto` on a GPU that is not here is bf16, as on any since Ampere.

        Raises:
            ConfigError: `precision` is none that there is.
        """
        if self.remote and self.device.type == "cuda" and precision == "auto":
            return torch.bfloat16
        return resolve_precision(precision, self.device)
