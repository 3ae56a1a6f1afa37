"""State of MemFT's sliding window: its anchor and its width (paper, section "MemFT").

Shapes: N cells, P pairs of a cell, B rows of a batch per cell, L target tokens of a row.
"""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Window:
    """State of the sliding window, one entry per sample: [N, P] for cells, [N, B] for a batch.

    Attributes:
        anchor: first wrong position; the row's length when none is wrong, −1 before the first step.
        stayed: number of steps for which the anchor has stayed.
        expansion: e, the factor on the window's initial width.
    """

    anchor: torch.Tensor
    stayed: torch.Tensor
    expansion: torch.Tensor

    @classmethod
    def fresh(cls, cells: int, pairs: int, device: torch.device | str = "cpu") -> "Window":
        """Make the state before the first step, [N, P]."""
        return cls(
            torch.full((cells, pairs), -1, device=device),
            torch.zeros(cells, pairs, dtype=torch.long, device=device),
            torch.ones(cells, pairs, device=device),
        )

    def __getitem__(self, samples: Any) -> "Window":
        """Pick samples, by any index that tensors take."""
        return Window(self.anchor[samples], self.stayed[samples], self.expansion[samples])

    def __setitem__(self, samples: Any, state: "Window") -> None:
        """Replace the state of the samples in place."""
        self.anchor[samples] = state.anchor
        self.stayed[samples] = state.stayed
        self.expansion[samples] = state.expansion


def next_window(anchor: torch.Tensor, before: Window, patience: int, growth: float, most: float) -> Window:
    """Advance the window by a step.

    After the anchor has stayed `patience` times, e grows by `growth` in every step, up to `most`. A move resets e to 1.
    """
    same = anchor == before.anchor
    stayed = torch.where(same, before.stayed + 1, 0)
    grown = torch.where(stayed >= patience, (before.expansion + growth).clamp(max=most), before.expansion)
    return Window(anchor, stayed, grown.where(same, 1.0))


def window_factor(window: Window, length: int, width: float, decay: float, floor: float) -> torch.Tensor:
    """Return exp(−max(t − a, 0)/decay) for t − a < width·e and `floor` beyond: [N, B, `length`]."""
    distance_NBL = torch.arange(length, device=window.anchor.device) - window.anchor[..., None]
    within = distance_NBL < width * window.expansion[..., None]
    return torch.exp(-distance_NBL.clamp(min=0) / decay).where(within, floor)
