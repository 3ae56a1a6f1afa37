"""The device that holds a base model, and the dtype of its weights."""

import torch

from memlaw.config.values import check_choice
from memlaw.core.errors import ConfigError, spelled

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


def resolve_device(device: str) -> torch.device:
    """Return the device of a name of torch's; `auto` is the first GPU, or the CPU of a machine without one.

    Raises:
        ConfigError: torch does not know the device or cannot see it.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device) if isinstance(device, str) else None  # torch takes numbers for GPUs
    except RuntimeError:
        chosen = None
    if chosen and chosen.type == "cpu":
        return chosen
    gpus = torch.cuda.device_count()
    if chosen and chosen.type == "cuda" and (chosen.index or 0) < gpus:
        return chosen
    raise ConfigError(
        f"trainer.device={spelled(device)} cannot be used here: allowed are auto, cpu, and cuda or cuda:<index> "
        f"of the {gpus} GPUs that torch sees"
    )


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype of the base model; `auto` is bf16 on a processor that multiplies it natively, else fp32.

    Raises:
        ConfigError: `precision` is none of auto, fp32, bf16.
    """
    if precision == "auto":
        return torch.bfloat16 if _multiplies_bf16(device) else torch.float32
    check_choice("precision", precision, ("auto", *PRECISIONS))
    return PRECISIONS[precision]


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()  # AMX tiles multiply bf16
