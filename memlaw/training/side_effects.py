"""Measures side effects of memorizing: the loss on ordinary held-out text, with and without the adapter.

Shapes: N cells, T positions of a row, L scored tokens of a row.
"""

import hashlib
from collections.abc import Iterable

import torch
from transformers import PreTrainedTokenizerBase

from memlaw.adapters.stack import LoraPack
from memlaw.core.errors import ConfigError
from memlaw.models.anatomy import decoder_of
from memlaw.models.base import positions
from memlaw.models.head import Head
from memlaw.training.losses import token_losses
from memlaw.training.whole_model import WholeModel

ROW_TOKENS = 256
"""Tokens of text in a row; its first token is not scored."""


class SideEffects:
    """Scores cells of a training pack on a held-out text.

    Args:
        whole: the pack's base model.
        tokenizer: the base model's.
        text: the held-out text.
    """

    def __init__(self, whole: WholeModel, tokenizer: PreTrainedTokenizerBase, text: str):
        self.whole = whole
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.rows = text_rows(text, tokenizer, int(min(ROW_TOKENS, positions(whole.model.config))))
        self._base_loss: float | None = None

    def __call__(self, cells: Iterable[int]) -> list[dict[str, float | str]]:
        """Score cells of the pack, given by index, and return their result columns."""
        with self.whole.restored():
            if self._base_loss is None:
                (self._base_loss,) = self._losses(self.whole.adapters.selected([None]))
            losses = self._losses(self.whole.adapters.selected(list(cells)))
        return [
            {
                "base_held_out_loss_nats": self._base_loss,
                "held_out_loss_nats": loss,
                "forgetting_nats": loss - self._base_loss,
                "held_out_fingerprint": self.fingerprint,
            }
            for loss in losses
        ]

    @torch.no_grad()
    def _losses(self, adapters: LoraPack) -> list[float]:
        """Return the mean loss of each cell over all scored tokens, nats."""
        model = self.whole.model
        N, device, head = len(adapters.specs), model.device, Head(model)
        total_N = torch.zeros(N, dtype=torch.float64)
        with adapters.attach(model):
            for row_T in self.rows:
                ids_NT = row_T.to(device).expand(N, -1)
                decoded = decoder_of(model)(input_ids=ids_NT, use_cache=False)
                position_NL = torch.arange(1, len(row_T), device=device).expand(N, -1)
                scored_NL = torch.ones_like(position_NL, dtype=torch.bool)
                nll_NL = token_losses(decoded, ids_NT, position_NL, scored_NL, head).nll
                total_N += nll_NL.double().sum(1).cpu()
        return (total_N / sum(len(row_T) - 1 for row_T in self.rows)).tolist()


def text_rows(text: str, tokenizer: PreTrainedTokenizerBase, length: int) -> list[torch.Tensor]:
    """Split the text's token ids into rows [T] of at most `length`; a last row of one token is dropped.

    Raises:
        ConfigError: the text has fewer than two tokens.
    """
    ids = torch.tensor(tokenizer(text, verbose=False)["input_ids"])
    rows = [row_T for row_T in ids.split(length) if len(row_T) > 1]
    if not rows:
        raise ConfigError("eval.side_effects: the text has fewer than two tokens")
    return rows
