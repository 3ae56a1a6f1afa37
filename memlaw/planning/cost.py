"""Estimate the cost of a cell: floating-point operations of a step, and seconds on a machine.

Take a decoder layer of P parameters and attention of width A, in a row of T positions. For each token, forward takes
2P + 2TA floating-point operations, and the gradient of the activations 2P + 5TA. The head takes 2DV each way.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import nnls

from memlaw.planning.sizes import Sizes

if TYPE_CHECKING:
    import torch


def step_flops(s: Sizes) -> float:
    """Count the floating-point operations of an optimizer step of a cell.

    The layers above the first adapter run forward and backward. The layers below it run forward, unless their output
    is cached. The head runs both ways. An adapter's parameters take part in three products. Evaluations that take
    forwards of their own count in equal parts for each step.
    """
    above = s.layers - s.first_layer - 1
    products, rest = 2 * s.layer_parameters * s.tokens, 2 * s.parameters_after * s.tokens
    attention = s.tokens * s.positions * s.attention
    layer = products + 2 * attention
    first = {"inside": rest, "input": layer, "none": (s.first_layer + 1) * layer}[s.cached]
    forward = above * layer + first
    backward = above * (products + 5 * attention) + rest
    head = 2 * s.hidden * s.vocabulary * s.scored
    adapters = 2 * s.adapter_parameters * s.tokens
    evaluation = (forward + head + adapters) * s.all_rows / s.rows
    return forward + backward + 2 * head + 3 * adapters + s.evaluations * evaluation


@dataclass(frozen=True)
class CostModel:
    """Seconds of a cell's step: its share of the pack's fixed time, and the time of its operations.

    Attributes:
        step_seconds: seconds of a pack's step that do not depend on its cells.
        flop_seconds: seconds of a floating-point operation.
        measured_cells: number of finished cells that it is fitted to; 0 for a guess.
    """

    step_seconds: float
    flop_seconds: float
    measured_cells: int

    @classmethod
    def from_cells(cls, pack_size: Sequence[float], flops: Sequence[float], seconds: Sequence[float]) -> "CostModel":
        """Fit finished cells: seconds of a cell's step against 1/`pack_size` and `flops`, by relative error."""
        terms = np.stack([1 / np.asarray(pack_size), np.asarray(flops)], axis=1) / np.asarray(seconds)[:, None]
        scale = terms.max(axis=0)
        scaled, _ = nnls(terms / scale, np.ones(len(terms)))
        step_seconds, flop_seconds = scaled / scale
        return cls(step_seconds, flop_seconds, measured_cells=len(terms))

    @classmethod
    def guess(cls, device: "torch.device", dtype: "torch.dtype") -> "CostModel":
        """Measure the speed of a large matrix product on this machine. Real steps are slower."""
        import torch  # not above, because readers of a study do without torch

        size, repeats = (8192, 10) if device.type == "cuda" else (1024, 1)
        a, b = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
        times = []
        for _ in range(5):
            float(b[0, 0])  # waits for the device
            start = time.perf_counter()
            for _ in range(repeats):
                product = a @ b
            float(product[0, 0])
            times.append((time.perf_counter() - start) / repeats)
        return cls(0.0, min(times) / (2 * size**3), measured_cells=0)

    def cell_seconds(self, flops: float, pack_size: int, steps: int) -> float:
        """Estimate a cell's share of a worker's time, without early stops.

        Args:
            flops: floating-point operations of a step of the cell.
            pack_size: cells of its pack.
            steps: optimizer steps.
        """
        return steps * (self.step_seconds / pack_size + self.flop_seconds * flops)


UNMEASURED = CostModel(step_seconds=0.0, flop_seconds=1e-14, measured_cells=0)
"""A guess for GPUs, on which a sweep measures nothing. It gives cells their relative cost alone."""
