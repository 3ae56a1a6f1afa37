"""GPU, driver, and the precision that the processor multiplies natively."""

import torch

from memlaw.core.errors import ConfigError
from memlaw.doctor.verdict import Verdict, answer
from memlaw.models.devices import resolve_device, resolve_precision

QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


def gpu(seen_by_torch: int, torch_cuda: str | None = torch.version.cuda) -> Verdict:
    """Whether torch sees the GPUs that the driver has.

    Args:
        seen_by_torch: GPUs that torch can use.
        torch_cuda: CUDA version that torch was built for; None for a build without.
    """
    lines = [line.strip() for line in (answer(*QUERY) or "").splitlines() if line.strip()]
    if seen_by_torch:
        listed = f": {lines[0]} (name, memory, driver)" if lines else ""
        return Verdict("GPU", "green", f"{seen_by_torch} usable{listed}")
    if not lines:
        return Verdict("GPU", "yellow", "none: cells train on the CPU", "fine for small models; else a GPU machine")
    built = f"is built for CUDA {torch_cuda}" if torch_cuda else "is a build for the CPU"
    remedy = "install the torch build for this driver, and look at CUDA_VISIBLE_DEVICES"
    return Verdict("GPU", "red", f"the driver has {len(lines)} ({lines[0]}), torch sees none; it {built}", remedy)


def precision(device: str) -> Verdict:
    """Whether the device multiplies bf16 natively."""
    try:
        chosen = resolve_device(device)
    except ConfigError as error:
        return Verdict("bf16", "red", str(error), "choose another trainer.device")
    if resolve_precision("auto", chosen) == torch.bfloat16:
        return Verdict("bf16", "green", f"native on {chosen.type}: base models take 2 bytes per parameter")
    remedy = "count on twice the memory and time; precision=bf16 saves the memory alone"
    return Verdict("bf16", "yellow", f"not native on this {chosen.type}: base models are computed in fp32", remedy)
