"""Checks the GPU, its driver, and the precision that the processor multiplies natively."""

import torch

from memlaw.core.errors import ConfigError
from memlaw.doctor.programs import output_of
from memlaw.doctor.verdict import Verdict
from memlaw.models.devices import resolve_device, resolve_precision

QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


def gpu(usable: int, torch_cuda: str | None = torch.version.cuda) -> Verdict:
    """Check that torch sees the GPUs that the driver has.

    Args:
        usable: number of GPUs that torch can use.
        torch_cuda: CUDA version that torch was built for; None for a build without.
    """
    lines = [line.strip() for line in (output_of(*QUERY) or "").splitlines() if line.strip()]
    if usable:
        listed = f": {lines[0]} (name, RAM, driver)" if lines else ""
        return Verdict("GPU", "green", f"{usable} usable{listed}")
    if not lines:
        return Verdict("GPU", "yellow", "none: cells train on the CPU", "fine for small models; use a GPU for others")
    built = f"is built for CUDA {torch_cuda}" if torch_cuda else "is a build for the CPU"
    remedy = "install the torch build for this driver, and check CUDA_VISIBLE_DEVICES"
    return Verdict("GPU", "red", f"the driver has {len(lines)} ({lines[0]}), torch sees none; it {built}", remedy)


def precision(device: str) -> Verdict:
    """Check whether the device multiplies bf16 natively."""
    try:
        chosen = resolve_device(device)
    except ConfigError as error:
        return Verdict("bf16", "red", str(error), "choose another trainer.device")
    if resolve_precision("auto", chosen) == torch.bfloat16:
        return Verdict("bf16", "green", f"native on {chosen.type}: base models take 2 bytes per parameter")
    remedy = "expect twice the RAM and time; precision=bf16 saves the RAM alone"
    return Verdict("bf16", "yellow", f"not native on this {chosen.type}: base models are computed in fp32", remedy)
