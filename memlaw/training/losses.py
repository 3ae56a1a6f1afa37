"""Computes the loss of each token from hidden states. Only this module applies the shift and the head.

ℒ_t = −ln p_t in nats (paper, eq. 1), where p_t is the probability of target token t given all before it.

Shapes: B rows, T positions of a row, L target tokens of a row, S scored tokens, D hidden size, V vocabulary.
"""

from typing import Any, NamedTuple

import torch
from transformers.utils import ModelOutput

from memlaw.models.head import Head


class TokenLosses(NamedTuple):
    """Losses of target tokens, in tensors of one shape.

    Attributes:
        nll: ℒ_t of the target token in nats, fp32.
        argmax: id of the most probable token at its position, int64.
        argmax_nll: loss of that token, fp32; never above `nll`, and equal to it in all bits if the token is the target.
    """

    nll: torch.Tensor
    argmax: torch.Tensor
    argmax_nll: torch.Tensor


class _ChunkedLosses(torch.autograd.Function):
    """Computes `TokenLosses` in chunks of rows, with the gradient of each token's NLL in the same pass.

    The gradient of a token's NLL with respect to its logits is softmax − onehot, which goes through the head alone. A
    token's NLL depends on one hidden state alone. So backward needs only the unit gradients [S, D], and scales them
    with the weights of the tokens in the loss.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_SD: torch.Tensor, target_S: torch.Tensor, head: Head, decoded: ModelOutput
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with_gradient = ctx.needs_input_grad[0]
        nll_S = torch.empty(target_S.shape, dtype=torch.float32, device=hidden_SD.device)
        argmax_S = torch.empty_like(target_S)
        argmax_nll_S = torch.empty_like(nll_S)
        unit_SD = torch.empty_like(hidden_SD) if with_gradient else None
        rows = head.chunk_rows(hidden_SD.device)
        for start in range(0, len(target_S), rows):
            chunk = slice(start, start + rows)
            with torch.set_grad_enabled(with_gradient):
                hidden = hidden_SD[chunk].detach().requires_grad_(with_gradient)
                logits = head(hidden, decoded)
            p, nll_S[chunk], argmax_S[chunk], argmax_nll_S[chunk] = _score(logits.detach().float(), target_S[chunk])
            if unit_SD is not None:
                gradient = p.scatter_add_(1, target_S[chunk, None], p.new_tensor(-1.0).expand(len(p), 1))
                (unit_SD[chunk],) = torch.autograd.grad(logits, hidden, gradient.to(logits.dtype))
        if unit_SD is not None:
            ctx.save_for_backward(unit_SD)
        ctx.mark_non_differentiable(argmax_S, argmax_nll_S)
        return nll_S, argmax_S, argmax_nll_S

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[torch.Tensor, None, None, None]:
        (unit_SD,) = ctx.saved_tensors
        return unit_SD * gradients[0][:, None].to(unit_SD.dtype), None, None, None


def _score(
    logits_SV: torch.Tensor, target_S: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the probabilities [S, V], and NLL, argmax and the argmax's NLL of each token, from fp32 logits.

    Of equal logits, the argmax is the first. Where p > 0.5 there is no equal one.
    """
    largest_S, argmax_S = logits_SV.max(-1)
    p_SV = logits_SV.softmax(-1)
    argmax_nll_S = -p_SV.gather(1, argmax_S[:, None])[:, 0].log()
    behind_S = largest_S - logits_SV.gather(1, target_S[:, None])[:, 0]
    return p_SV, argmax_nll_S + behind_S, argmax_S, argmax_nll_S


def token_losses(
    decoded: ModelOutput,
    input_ids_BT: torch.Tensor,
    position_BL: torch.Tensor,
    valid_BL: torch.Tensor,
    head: Head,
) -> TokenLosses:
    """Compute the loss of each target token, and of the most probable token at its position.

    Args:
        decoded: the decoder's output; its `last_hidden_state` is [B, T, D].
        input_ids_BT: token ids of the rows.
        position_BL: positions of the target tokens in their rows, at least 1.
        valid_BL: False for padding, whose `nll` is 0 and whose argmax is arbitrary.
        head: the base model's head.

    Returns:
        Losses [B, L]; `nll` is differentiable in the decoder's hidden states.
    """
    hidden_BTD: torch.Tensor = decoded["last_hidden_state"]
    before_BL = position_BL - 1  # the hidden state one position before a token predicts it
    picked_BLD = hidden_BTD.gather(1, before_BL[..., None].expand(-1, -1, hidden_BTD.shape[-1]))
    target_BL = input_ids_BT.gather(1, position_BL)
    losses_S = _ChunkedLosses.apply(picked_BLD.flatten(0, 1), target_BL.flatten(), head, decoded)
    losses = TokenLosses(*(value_S.view(target_BL.shape) for value_S in losses_S))
    return losses._replace(nll=losses.nll.where(valid_BL, 0.0))
