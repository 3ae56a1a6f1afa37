"""The LightningModule of a pack: N cells, one frozen base model, per-cell loss, clipping and AdamW state.

Shapes: N cells, B rows of a batch per cell, P pairs of a cell, T positions of a row, L target tokens of a row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from transformers import masking_utils

from memlaw.methods.memft import BatchLosses, weighted_mean
from memlaw.models.anatomy import decoder_of
from memlaw.models.base import BaseModel
from memlaw.models.head import Head
from memlaw.training.live_pack import LivePack
from memlaw.training.losses import TokenLosses, token_losses


class Forward(NamedTuple):
    """The forward of a step, without gradient.

    Attributes:
        rows_NB: its rows.
        losses: of their target tokens, [N, B, L].
        weight_NBL: of these tokens in the step's loss.
    """

    rows_NB: torch.Tensor
    losses: TokenLosses
    weight_NBL: torch.Tensor


class PackModule(LightningModule):
    """Trains the adapters of N cells at once; cell n's numbers depend on cell n alone.

    Args:
        base: the frozen base model, adapters attached to it.
        pack: the cells; it drops those that end.
        optimizer: the section `optimizer`.

    Attributes:
        last_forward: of the latest step. Its losses are those before the step's update.
    """

    def __init__(self, base: BaseModel, pack: LivePack, *, optimizer: Any):
        super().__init__()
        self.pack = pack
        self.adapters = pack.adapters  # registers their parameters
        self.optimizer_config = optimizer
        self.last_forward: Forward | None = None
        # In a tuple, so that they are no submodules: Lightning must not move, save or set the mode of the frozen model.
        self._frozen = (decoder_of(base.model), Head(base.model))

    @property
    def steps_taken(self) -> int:
        """Optimizer steps of every cell so far, including those before an interruption."""
        return self.pack.steps.start + self.trainer.global_step

    def forward(self, rows_NB: torch.Tensor) -> tuple[TokenLosses, torch.Tensor]:
        """Score the target tokens of the given rows; a row of -1 scores nothing.

        Returns:
            Losses [N, B, L], and valid_NBL, False for padding.
        """
        (decoder, head), table = self._frozen, self.pack.table
        N, B = rows_NB.shape
        cell_N1 = torch.arange(N, device=rows_NB.device)[:, None]
        row_NB = rows_NB.clamp(min=0)
        input_ids_BT = table.input_ids_NPT[cell_N1, row_NB].flatten(0, 1)
        position_BL = table.position_NPL[cell_N1, row_NB].flatten(0, 1)
        valid_NBL = table.valid_NPL[cell_N1, row_NB] & (rows_NB >= 0)[..., None]
        if self.pack.prefix:
            self.pack.prefix.feed(cell_N1, row_NB)
        with _one_sequence_per_row():
            decoded = decoder(input_ids=input_ids_BT, use_cache=False)
        losses = token_losses(decoded, input_ids_BT, position_BL, valid_NBL.flatten(0, 1), head)
        return TokenLosses(*(value_BL.view(N, B, -1) for value_BL in losses)), valid_NBL

    def weigh(
        self, losses: TokenLosses, valid_NBL: torch.Tensor, rows_NB: torch.Tensor, *, advance: bool
    ) -> torch.Tensor:
        """Weigh the target tokens of the given rows by the cells' methods; see `memlaw.methods.weighting.Weighting`."""
        wrong_NBL = losses.argmax != self.pack.table.targets(rows_NB)
        return self.pack.weighting(BatchLosses(losses.nll, wrong_NBL & valid_NBL, valid_NBL), rows_NB, advance)

    def training_step(self, rows_NB: torch.Tensor, batch_index: int) -> torch.Tensor:
        """Sum each cell's weighted loss over the cells; no cell's gradient contains another's loss.

        With `lora.dropout` these losses, and the weights of the cells' methods, are those of a forward with dropout.

        Args:
            rows_NB: the step's rows.
            batch_index: steps since training started or went on; each batch is a step.
        """
        with self.adapters.dropping(self.pack.steps.start + batch_index, rows_NB.shape[1], self.pack.row_tokens):
            losses, valid_NBL = self(rows_NB)
        detached = losses._replace(nll=losses.nll.detach())
        weight_NBL = self.weigh(detached, valid_NBL, rows_NB, advance=True)
        self.last_forward = Forward(rows_NB, detached, weight_NBL)
        return weighted_mean(losses.nll, weight_NBL).sum()

    def configure_optimizers(self) -> Any:
        """Make AdamW over the stacked parameters, with linear decay to zero, stepped every batch.

        For parameters in bf16 it is torch's default one, as in the paper's code, which rounds after each operation. The
        fused one rounds once a step, and memorizes a little more.
        """
        c, steps = self.optimizer_config, self.pack.steps
        parameters = list(self.adapters.parameters())
        optimizer = torch.optim.AdamW(
            parameters,
            lr=c.lr,
            betas=tuple(c.betas),
            eps=c.eps,
            weight_decay=c.weight_decay,
            fused=True if parameters[0].dtype == torch.float32 else None,
            capturable=self.device.type == "cuda",
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - (steps.start + step) / steps.stop)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        """Clip each cell's own gradient norm, as `clip_grad_norm_` does for a model of one cell."""
        if self.optimizer_config.clip_norm is None:
            return
        gradients = [p.grad for p in self.adapters.parameters() if p.grad is not None]
        norm_N = torch.stack([gradient.flatten(1).float().square().sum(1) for gradient in gradients]).sum(0).sqrt()
        factor_N = (self.optimizer_config.clip_norm / (norm_N + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(factor_N[:, None, None])


@contextmanager
def _one_sequence_per_row() -> Iterator[None]:
    """Keep transformers from searching for packed sequences, which waits for the device in every forward."""
    search = masking_utils.find_packed_sequence_indices
    setattr(masking_utils, "find_packed_sequence_indices", lambda position_ids: None)  # noqa: B010
    try:
        yield
    finally:
        setattr(masking_utils, "find_packed_sequence_indices", search)  # noqa: B010
