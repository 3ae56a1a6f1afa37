"""Dropout on an adapter's output, as in the paper's released code. PEFT's acts on the adapter's input.

Shapes: N cells, B rows of a batch per cell, T positions of a row, S = B·T, O output size of a module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from memlaw.core.seeding import stream_seed


@dataclass(frozen=True)
class Dropout:
    """The dropout of a training step.

    The dropped values of a cell depend on its seed, the module, the step and the cell's rows alone. So a cell is the
    same in any pack, and the same when it continues after an interruption. A GPU draws others than a CPU.

    Attributes:
        share: probability that a value is dropped.
        seeds: of the cells.
        row_tokens: positions of each cell's longest row. A pack with longer rows drops nothing beyond them.
        rows: B.
        step: optimizer steps before this one.
    """

    share: float
    seeds: Sequence[int]
    row_tokens: Sequence[int]
    rows: int
    step: int

    def __call__(self, output_NSO: torch.Tensor, module: str) -> torch.Tensor:
        """Drop values of the output of the adapters on a module, and divide the others by 1 − `share`."""
        dropped_NSO = self.dropped(module, output_NSO.shape, output_NSO.device)
        return output_NSO.masked_fill(dropped_NSO, 0.0) * (1 / (1 - self.share))

    def dropped(self, module: str, shape: torch.Size, device: torch.device) -> torch.Tensor:
        """Draw the values to drop, [N, S, O] of bool; rows follow each other in S."""
        N, S, O = shape
        dropped_NBTO = torch.zeros(N, self.rows, S // self.rows, O, dtype=torch.bool, device=device)
        generator = torch.Generator(device)
        for dropped_BTO, seed, tokens in zip(dropped_NBTO, self.seeds, self.row_tokens, strict=True):
            generator.manual_seed(stream_seed(seed, f"dropout {module} {self.step}"))
            drawn_BTO = torch.rand(self.rows, tokens, O, generator=generator, device=device)
            dropped_BTO[:, :tokens] = drawn_BTO < self.share
        return dropped_NBTO.view(shape)
