"""What memorizing costs elsewhere: the loss on held-out ordinary text, under the base model and under the adapter.

Shapes: N cells, R rows of text, T positions of a row.
"""

import hashlib
from collections.abc import Sequence
from importlib.resources import files

import torch
from transformers import PreTrainedTokenizerBase

from memlaw.anatomy import decoder_of
from memlaw.base_model import BaseModel, positions
from memlaw.data.text_file import read_text
from memlaw.errors import ConfigError, shown, spelled
from memlaw.files import file_hash
from memlaw.lora import LoraPack
from memlaw.prefix import Prefix
from memlaw.recall import whole_model
from memlaw.token_loss import Head, token_losses

OFF, SHIPPED = "off", "on"
ROW_TOKENS = 256
"""Tokens of text in a row; the first of each is not scored."""


def held_out_text(side_effects: str, content: str | None) -> str | None:
    """The text that `eval.side_effects` names: `on` is the one that comes with memlaw, `off` none.

    Args:
        side_effects: the name.
        content: the file's hash (`memlaw.cell.file_hash`) when the cell was made; None is not checked.

    Raises:
        ConfigError: it names neither of them, nor a text file that can be read and is not empty, or has been edited.
    """
    if side_effects == OFF:
        return None
    if side_effects == SHIPPED:
        return files("memlaw.data").joinpath("held_out.txt").read_text(encoding="utf-8")
    if content is not None and file_hash(side_effects) != content:
        raise ConfigError(f"eval.side_effects={shown(side_effects)} is gone or was edited since the cell was planned")
    try:
        text = read_text(side_effects)
    except ValueError as error:
        raise ConfigError(
            f"eval.side_effects={spelled(side_effects)} is neither {SHIPPED}, nor {OFF}, nor a text file: {error}"
        ) from error
    if not text.strip():
        raise ConfigError(f"eval.side_effects={shown(side_effects)} is an empty file")
    return text


class SideEffects:
    """Scores cells of a training pack on a held-out text.

    Args:
        base: the base model, the pack's adapters attached.
        adapters: the pack's adapters.
        prefix: what stands in for the model's first layers meanwhile, if anything.
        text: the held-out text.
    """

    def __init__(self, base: BaseModel, adapters: LoraPack, prefix: Prefix | None, text: str):
        self.model = base.model
        self.adapters = adapters
        self.prefix = prefix
        self.fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.rows = text_rows(text, base.tokenizer, int(min(ROW_TOKENS, positions(base.model.config))))
        self._base_loss: float | None = None

    def __call__(self, cells: Sequence[int]) -> list[dict[str, float | str]]:
        """Result columns of the given cells, by their places in the pack."""
        with whole_model(self.adapters, self.prefix):
            if self._base_loss is None:
                (self._base_loss,) = self._losses(self.adapters.selected([None]))
            losses = self._losses(self.adapters.selected(cells))
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
        """Mean loss of each cell over all scored tokens, nats."""
        N, device, head = len(adapters.specs), self.model.device, Head(self.model)
        total_N = torch.zeros(N, dtype=torch.float64)
        with adapters.attach(self.model):
            for row_T in self.rows:
                ids_NT = row_T.to(device).expand(N, -1)
                decoded = decoder_of(self.model)(input_ids=ids_NT, use_cache=False)
                position_NL = torch.arange(1, len(row_T), device=device).expand(N, -1)
                scored_NL = torch.ones_like(position_NL, dtype=torch.bool)
                nll_NL = token_losses(decoded, ids_NT, position_NL, scored_NL, head).nll
                total_N += nll_NL.double().sum(1).cpu()
        return (total_N / sum(len(row_T) - 1 for row_T in self.rows)).tolist()


def text_rows(text: str, tokenizer: PreTrainedTokenizerBase, length: int) -> list[torch.Tensor]:
    """The text's token ids in rows [T] of at most `length`; a last row of one token is dropped.

    Raises:
        ConfigError: the text has fewer than two tokens.
    """
    ids = torch.tensor(tokenizer(text, verbose=False)["input_ids"])
    rows = [row_T for row_T in ids.split(length) if len(row_T) > 1]
    if not rows:
        raise ConfigError("eval.side_effects: the text has fewer than two tokens")
    return rows
