"""The LightningModule of a pack: N cells, one frozen base model, per-cell loss, clipping and AdamW state.

Shapes: N cells, B rows of a batch per cell, P pairs of a cell, T positions of a row, L target tokens of a
row.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule
from transformers import masking_utils

from memlaw.anatomy import decoder_of
from memlaw.base_model import BaseModel
from memlaw.checkpoint import Checkpoint
from memlaw.data.tokens import TokenTable
from memlaw.lora import LoraPack
from memlaw.memft import BatchLosses, weighted_mean
from memlaw.prefix_cache import PrefixCache
from memlaw.token_loss import Head, TokenLosses, token_losses
from memlaw.weighting import Weighting


@contextmanager
def _one_sequence_per_row() -> Iterator[None]:
    """Keep transformers from looking for packed sequences: the look waits for the device in every forward."""
    search = masking_utils.find_packed_sequence_indices
    setattr(masking_utils, "find_packed_sequence_indices", lambda position_ids: None)  # noqa: B010
    try:
        yield
    finally:
        setattr(masking_utils, "find_packed_sequence_indices", search)  # noqa: B010


class PackModule(LightningModule):
    """Trains the adapters of N cells at once; cell n's numbers depend on cell n alone.

    Args:
        base: the frozen base model, adapters attached to it.
        adapters: the cells' adapters.
        table: the cells' rows.
        prefix: the cached prefix, or None to run the whole model in every step.
        weighting: the cells' methods.
        optimizer: the section `optimizer`.
        total_steps: optimizer steps of every cell.
        start_step: how many of them all cells have taken already.
    """

    def __init__(
        self,
        base: BaseModel,
        adapters: LoraPack,
        table: TokenTable,
        prefix: PrefixCache | None,
        weighting: Weighting,
        optimizer: Any,
        total_steps: int,
        start_step: int = 0,
    ):
        super().__init__()
        self.adapters = adapters
        self.table = table
        self.prefix = prefix
        self.weighting = weighting
        self.optimizer_config = optimizer
        self.total_steps = total_steps
        self.start_step = start_step
        self.kept_N = torch.arange(len(adapters.specs))
        self._latest: tuple[torch.Tensor, TokenLosses, torch.Tensor]
        # Not registered as a submodule: Lightning must not move, save or switch the frozen model's mode.
        self._frozen = (decoder_of(base.model), Head(base.model))

    def forward(self, rows_NB: torch.Tensor) -> tuple[TokenLosses, torch.Tensor]:
        """Losses of the target tokens of the given rows; a row of -1 scores nothing.

        Returns:
            Losses [N, B, L], and valid_NBL, False for padding.
        """
        decoder, head = self._frozen
        N, B = rows_NB.shape
        cell_N1 = torch.arange(N, device=rows_NB.device)[:, None]
        row_NB = rows_NB.clamp(min=0)
        input_ids_BT = self.table.input_ids_NPT[cell_N1, row_NB].flatten(0, 1)
        position_BL = self.table.position_NPL[cell_N1, row_NB].flatten(0, 1)
        valid_NBL = self.table.valid_NPL[cell_N1, row_NB] & (rows_NB >= 0)[..., None]
        if self.prefix:
            self.prefix.feed(cell_N1, row_NB)
        with _one_sequence_per_row():
            decoded = decoder(input_ids=input_ids_BT, use_cache=False)
        losses = token_losses(decoded, input_ids_BT, position_BL, valid_NBL.flatten(0, 1), head)
        return TokenLosses(*(value_BL.view(N, B, -1) for value_BL in losses)), valid_NBL

    def training_step(self, rows_NB: torch.Tensor, _batch_index: int) -> torch.Tensor:
        """Sum over cells of each cell's weighted loss; no cell's gradient contains another's loss."""
        rows_NB = rows_NB[self.kept_N]
        losses, valid_NBL = self(rows_NB)
        known = losses._replace(nll=losses.nll.detach())
        weights_NBL = self.weighting(self._batch_losses(known, valid_NBL, rows_NB), rows_NB)
        self._latest = rows_NB, known, weights_NBL
        return weighted_mean(losses.nll, weights_NBL).sum()

    def _batch_losses(self, losses: TokenLosses, valid_NBL: torch.Tensor, rows_NB: torch.Tensor) -> BatchLosses:
        wrong_NBL = losses.argmax != self.table.targets(rows_NB)
        return BatchLosses(losses.nll, wrong_NBL & valid_NBL, valid_NBL)

    @torch.no_grad()
    def weights(self, losses: TokenLosses) -> torch.Tensor:
        """What the methods would make of an evaluation, [N, P, L]: 0 where a token is no longer trained."""
        N, P, _ = losses.nll.shape
        rows_NP = torch.arange(P, device=losses.nll.device).expand(N, P)
        return self.weighting(self._batch_losses(losses, self.table.valid_NPL, rows_NP), rows_NP, advance=False)

    @torch.no_grad()
    def evaluate(self, batch_rows: int) -> TokenLosses:
        """Losses [N, P, L] of all target tokens of all cells."""
        N, P, _ = self.table.input_ids_NPT.shape
        rows_NP = torch.arange(P, device=self.table.input_ids_NPT.device).expand(N, P)
        parts = [self(rows_NB)[0] for rows_NB in rows_NP.split(batch_rows, dim=1)]
        return TokenLosses(*(torch.cat(values, 1) for values in zip(*parts, strict=True)))

    def training_losses(self) -> tuple[TokenLosses, torch.Tensor]:
        """What `evaluate` would give before the step in progress, and the step's weights; it must hold all pairs."""
        rows_NB, losses, weights_NBL = self._latest
        place_B = torch.arange(rows_NB.shape[1], device=rows_NB.device)
        order_NB1 = rows_NB.where(rows_NB >= 0, place_B).argsort(1)[..., None]
        in_order = TokenLosses(*(value_NBL.take_along_dim(order_NB1, 1) for value_NBL in losses))
        return in_order, weights_NBL.take_along_dim(order_NB1, 1)

    @property
    def steps_taken(self) -> int:
        """Optimizer steps of every cell so far, those before an interruption included."""
        return self.start_step + self.trainer.global_step

    def state(self, cell: int) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps of a cell: its adapter with AdamW's moments, and its method's state."""
        adapter = self.adapters.state(cell, self.trainer.optimizers[0])
        method = self.weighting.state(cell, self.table.pairs[cell])
        return {
            **{f"adapter.{name}": value for name, value in adapter.items()},
            **{f"method.{name}": value for name, value in method.items()},
        }

    def restore(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Put every cell where its checkpoint left it."""
        for cell, checkpoint in enumerate(checkpoints):
            self.adapters.restore(cell, checkpoint.part("adapter"), checkpoint.step, self.trainer.optimizers[0])
            self.weighting.restore(cell, checkpoint.part("method"))

    def configure_optimizers(self) -> Any:
        """AdamW over the stacked parameters with linear decay to zero, stepped every batch."""
        c = self.optimizer_config
        optimizer = torch.optim.AdamW(
            self.adapters.parameters(),
            lr=c.lr,
            betas=tuple(c.betas),
            eps=c.eps,
            weight_decay=c.weight_decay,
            fused=True,
            capturable=self.device.type == "cuda",
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: 1 - (self.start_step + step) / self.total_steps
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *_: Any, **__: Any) -> None:
        """Clip each cell's own gradient norm, as `clip_grad_norm_` does for a model of one cell."""
        if self.optimizer_config.clip_norm is None:
            return
        gradients = [p.grad for p in self.adapters.parameters() if p.grad is not None]
        norm_N = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0).sqrt()
        factor_N = (self.optimizer_config.clip_norm / (norm_N + 1e-6)).clamp(max=1)
        for gradient in gradients:
            gradient.mul_(factor_N[:, None, None])

    def keep(self, kept: torch.Tensor) -> None:
        """Go on with some of the cells, given by their index among the present ones."""
        optimizer = self.trainer.optimizers[0]
        self.adapters.keep(kept.to(self.device), optimizer)
        self.table = self.table.select(kept)
        self.weighting.keep(kept)
        if self.prefix:
            self.prefix.keep(kept)
        self.kept_N = self.kept_N[kept.to(self.kept_N.device)]

    def on_fit_start(self) -> None:
        """Put the index of the kept cells beside the batches that it picks from, and the methods' beside theirs."""
        self.kept_N = self.kept_N.to(self.device)
        self.weighting.place()
