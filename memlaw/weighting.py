"""The methods of a pack's cells at work: token weights of a step, and the state of every sample.

Shapes: N cells, B rows of a batch per cell, P pairs of a cell, L target tokens of a row.
"""

from collections.abc import Sequence

import torch
from torch import nn

from memlaw.memft import BatchLosses, Method, Window


class Weighting(nn.Module):
    """Weighs the tokens of a batch, each cell's by its own method.

    State belongs to the sample, not to its row in a batch; it is kept as buffers, so that a checkpoint holds it.

    Args:
        methods: of the cells.
        pairs: P, of the cell with most.
    """

    anchor_NP: torch.Tensor
    stayed_NP: torch.Tensor
    expansion_NP: torch.Tensor

    def __init__(self, methods: Sequence[Method], pairs: int):
        super().__init__()
        fresh = Window.fresh(len(methods), pairs + 1)  # the last column is that of rows of −1, which score nothing
        self.register_buffer("anchor_NP", fresh.anchor)
        self.register_buffer("stayed_NP", fresh.stayed)
        self.register_buffer("expansion_NP", fresh.expansion)
        self._set(list(methods))

    def _set(self, methods: list[Method]) -> None:
        self.methods = methods
        distinct = list(dict.fromkeys(methods))
        self._groups = [
            (method, torch.tensor([n for n, own in enumerate(methods) if own == method], device=self.anchor_NP.device))
            for method in distinct
        ]

    def forward(self, losses: BatchLosses, rows_NB: torch.Tensor, advance: bool = True) -> torch.Tensor:
        """Weights [N, B, L] of the target tokens of the given rows.

        Args:
            losses: of the batch.
            rows_NB: which pairs they are; −1 fills a batch.
            advance: whether this is a step, after which the rows' state is the next one.
        """
        weights_NBL = torch.zeros_like(losses.nll_NBL)
        for method, cells in self._groups:
            place = cells[:, None], rows_NB[cells]
            window = Window(self.anchor_NP[place], self.stayed_NP[place], self.expansion_NP[place])
            own = BatchLosses(losses.nll_NBL[cells], losses.wrong_NBL[cells], losses.valid_NBL[cells])
            weights_NBL[cells], following = method.weigh(own, window)
            if advance:
                self.anchor_NP[place] = following.anchor
                self.stayed_NP[place] = following.stayed
                self.expansion_NP[place] = following.expansion
        return weights_NBL

    def state(self, cell: int, pairs: int) -> dict[str, torch.Tensor]:
        """One cell's state, a value per pair."""
        return {
            "anchor": self.anchor_NP[cell, :pairs],
            "stayed": self.stayed_NP[cell, :pairs],
            "expansion": self.expansion_NP[cell, :pairs],
        }

    def restore(self, cell: int, tensors: dict[str, torch.Tensor]) -> None:
        """Put back one cell's `state`."""
        for name, own in self.state(cell, len(tensors["anchor"])).items():
            own.copy_(tensors[name])

    def keep(self, kept: torch.Tensor) -> None:
        """Go on with some of the cells, given by index."""
        at = kept.to(self.anchor_NP.device)
        self.anchor_NP, self.stayed_NP, self.expansion_NP = (
            state[at] for state in (self.anchor_NP, self.stayed_NP, self.expansion_NP)
        )
        self._set([self.methods[index] for index in kept.tolist()])

    def place(self) -> None:
        """Put the groups' indices beside the state, once that lies on its device."""
        self._set(self.methods)
