"""Measures all target tokens of a pack: by a separate forward, or from the forward of a step that saw all pairs.

Shapes: N cells, P pairs of a cell, L target tokens of a row, B rows of a batch, S target tokens of a cell.
"""

from typing import NamedTuple

import torch

from memlaw.study.records import Evaluated
from memlaw.training.losses import TokenLosses
from memlaw.training.module import Forward, PackModule


class Measured(NamedTuple):
    """Target tokens of all cells, pairs in order, on the device.

    Attributes:
        losses: [N, P, L].
        weight_NPL: their weights in the methods' losses; 0 for tokens that are no longer trained.
    """

    losses: TokenLosses
    weight_NPL: torch.Tensor


@torch.no_grad()
def measure(module: PackModule, batch_rows: int) -> Measured:
    """Run all rows of a pack, `batch_rows` rows of each cell at a time; leave the methods' state as it is."""
    table = module.pack.table
    rows_NP = table.all_rows()
    parts = [module(rows_NB)[0] for rows_NB in rows_NP.split(batch_rows, dim=1)]
    losses = TokenLosses(*(torch.cat(values, 1) for values in zip(*parts, strict=True)))
    return Measured(losses, module.weigh(losses, table.valid_NPL, rows_NP, advance=False))


def measured_by(forward: Forward) -> Measured:
    """Put the rows of a step's forward in the order of their pairs; the step must have seen all pairs."""
    rows_NB = forward.rows_NB
    index_B = torch.arange(rows_NB.shape[1], device=rows_NB.device)
    order_NB1 = rows_NB.where(rows_NB >= 0, index_B).argsort(1)[..., None]
    in_order = TokenLosses(*(value_NBL.take_along_dim(order_NB1, 1) for value_NBL in forward.losses))
    return Measured(in_order, forward.weight_NBL.take_along_dim(order_NB1, 1))


def evaluated_cells(measured: Measured, valid_NPL: torch.Tensor, step: int) -> list[Evaluated]:
    """Bring a measurement to the host, cell by cell and without padding; this waits for the device.

    Args:
        measured: after `step` optimizer steps.
        valid_NPL: False for padding.
        step: optimizer steps taken before it.
    """
    values = [value_NPL.cpu() for value_NPL in (*measured.losses, measured.weight_NPL)]
    return [
        Evaluated(step, *(value_NPL[n][valid_PL].numpy() for value_NPL in values))
        for n, valid_PL in enumerate(valid_NPL.cpu())
    ]
