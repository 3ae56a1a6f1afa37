"""Applies the methods of a pack's cells: the token weights of a step, and the state of every sample.

Shapes: N cells, B rows of a batch per cell, P pairs of a cell, L target tokens of a row.
"""

from collections.abc import Sequence

import torch

from memlaw.methods.memft import BatchLosses, Method
from memlaw.methods.window import Window


class Weighting:
    """Weighs the tokens of a batch, each cell's by its own method.

    State belongs to the sample, not to its row in a batch.

    Args:
        methods: of the cells.
        pairs: P, of the cell with most.
        device: of the losses.

    Attributes:
        window: the state of every sample, [N, P + 1].
    """

    def __init__(self, methods: Sequence[Method], pairs: int, device: torch.device | str = "cpu"):
        # Index −1, the last column, belongs to rows of −1, which score nothing.
        self.window = Window.fresh(len(methods), pairs + 1, device)
        self._group(list(methods))

    def _group(self, methods: list[Method]) -> None:
        """Group cells of the same method. Their indices are on the device, so that no step copies them there."""
        self.methods = methods
        self._groups = []
        for method in dict.fromkeys(methods):
            cells = [n for n, other in enumerate(methods) if other == method]
            self._groups.append((method, torch.tensor(cells, device=self.window.anchor.device)))

    def __call__(self, losses: BatchLosses, rows_NB: torch.Tensor, advance: bool = True) -> torch.Tensor:
        """Weigh the target tokens of the given rows.

        Args:
            losses: of the batch.
            rows_NB: their numbers among the cell's pairs; −1 fills a batch.
            advance: whether to advance the state of the rows, as a training step does.

        Returns:
            Weights [N, B, L].
        """
        weights_NBL = torch.zeros_like(losses.nll_NBL)
        for method, cells in self._groups:
            batch = BatchLosses(losses.nll_NBL[cells], losses.wrong_NBL[cells], losses.valid_NBL[cells])
            samples = cells[:, None], rows_NB[cells]
            weights_NBL[cells], following = method.weigh(batch, self.window[samples])
            if advance:
                self.window[samples] = following
        return weights_NBL

    def state(self, n: int, pairs: int) -> dict[str, torch.Tensor]:
        """Return the state of cell `n`, a value per pair."""
        return vars(self.window[n, :pairs])

    def restore(self, n: int, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the `state` of cell `n`."""
        self.window[n, : len(tensors["anchor"])] = Window(**tensors)

    def keep(self, kept: Sequence[int]) -> None:
        """Go on with some of the cells, given by index."""
        self.window = self.window[list(kept)]
        self._group([self.methods[n] for n in kept])
