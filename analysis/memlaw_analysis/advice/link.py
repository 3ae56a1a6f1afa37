"""The measured link from mean loss to the share of tokens that are recalled."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression


class NoAdvice(ValueError):
    """The cells do not answer the question; the message says why, and which cells would help."""


@dataclass(frozen=True)
class Link:
    """The measured link from ΔL/L0 to the share of recalled tokens. It is monotone, and linear between cells.

    Attributes:
        delta_loss_share: ΔL/L0 of the cells, ascending.
        recalled_share: share of tokens with p > 0.5, not descending.
    """

    delta_loss_share: np.ndarray
    recalled_share: np.ndarray

    @classmethod
    def of(cls, cells: pd.DataFrame) -> "Link":
        """Fit the link by isotonic regression over the cells whose recalled share is known.

        Raises:
            NoAdvice: no cell has a recalled share.
        """
        if "recalled_share" not in cells or cells["recalled_share"].isna().all():
            raise NoAdvice("no cell has a share of recalled tokens")
        cells = cells[cells["recalled_share"].notna()]
        ordered = cells.assign(share=cells["delta_loss_nats"] / cells["base_loss_nats"]).sort_values("share")
        recalled = isotonic_regression(ordered["recalled_share"].to_numpy(float)).x
        return cls(ordered["share"].to_numpy(float), recalled)

    def recalled(self, delta_loss_share: float) -> float:
        """Return the share of recalled tokens at a ΔL/L0."""
        return float(np.interp(delta_loss_share, self.delta_loss_share, self.recalled_share))

    def needed(self, recalled_share: float) -> float:
        """Return the smallest ΔL/L0 at which that share is reached.

        Raises:
            NoAdvice: no cell reaches it.
        """
        above = int(np.searchsorted(self.recalled_share, recalled_share, side="left"))
        if above == len(self.recalled_share):
            raise NoAdvice(
                f"no cell of the study recalls {recalled_share:.1%} of its tokens; the best recalls "
                f"{self.recalled_share.max():.1%}. Add larger ranks or shorter lengths."
            )
        if above == 0:
            return float(self.delta_loss_share[0])
        between = slice(above - 1, above + 1)
        return float(np.interp(recalled_share, self.recalled_share[between], self.delta_loss_share[between]))
