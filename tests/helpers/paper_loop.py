"""The paper's training rules as a plain loop for one cell: a reference that shares no code of training with memlaw.

The adapter adds dropout(x A B) to the output of a block.

Shapes: B pairs of a step, T positions of the longest pair, H hidden size, S target tokens, pairs in order.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

Ids = tuple[int, ...]

BETAS, EPS, CLIP_NORM = (0.9, 0.999), 1e-8, 1.0
"""AdamW as torch has it, and the largest norm of all gradients together."""


@dataclass
class PaperLoop:
    """Trains one adapter on pairs of (prompt, target).

    Attributes:
        model: the frozen base model.
        module: name of the adapted block.
        pairs: token ids of prompts and targets.
        A: initial A [H, rank], in fp32.
        lr: learning rate of the first step, which decays linearly to zero.
        threshold: only tokens with a smaller probability are trained; None: all tokens.
        fallback: whether a step in which no token is left trains on the plain mean, else on nothing.
        fallbacks: steps in which no token was left.
    """

    model: nn.Module
    module: str
    pairs: Sequence[tuple[Ids, Ids]]
    A: torch.Tensor
    lr: float
    threshold: float | None = None
    fallback: bool = True
    fallbacks: int = field(default=0, init=False)

    def losses(
        self, batches: Sequence[Sequence[int]], kept: Callable[[int], torch.Tensor], at: Collection[int]
    ) -> dict[int, np.ndarray]:
        """Train a step per batch of pair numbers.

        Args:
            batches: of each step.
            kept: returns a step's factors [B, T, H] on the output of the adapter: dropout.
            at: numbers of steps after which all pairs are measured.

        Returns:
            The number of steps → losses of the target tokens in nats [S].
        """
        A, B = self.A.clone().requires_grad_(), torch.zeros(self.A.T.shape, requires_grad=True)
        factors: torch.Tensor | None = None

        def adapted(_module, args, output):
            added = args[0] @ A @ B
            return output + (added if factors is None else added * factors)

        moments = [(torch.zeros_like(weights), torch.zeros_like(weights)) for weights in (A, B)]
        measured = {}
        hook = self.model.get_submodule(self.module).register_forward_hook(adapted)
        for step in range(len(batches) + 1):
            if step in at:
                with torch.no_grad():
                    measured[step] = self._nll(range(len(self.pairs))).numpy()
            if step == len(batches):
                break
            factors = kept(step)
            gradients = torch.autograd.grad(
                self._loss(batches[step]), (A, B), allow_unused=True, materialize_grads=True
            )
            factors = None
            norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
            lr = self.lr * (1 - step / len(batches))
            for weights, gradient, (first, second) in zip((A, B), gradients, moments, strict=True):
                gradient = gradient * min(1.0, CLIP_NORM / (norm + 1e-6))
                first.mul_(BETAS[0]).add_((1 - BETAS[0]) * gradient)
                second.mul_(BETAS[1]).add_((1 - BETAS[1]) * gradient**2)
                mean, square = (m / (1 - beta ** (step + 1)) for m, beta in zip((first, second), BETAS, strict=True))
                with torch.no_grad():
                    weights -= lr * mean / (square.sqrt() + EPS)
        hook.remove()
        return measured

    def _loss(self, batch: Sequence[int]) -> torch.Tensor:
        nll_S = self._nll(batch)
        hard_S = torch.ones_like(nll_S) if self.threshold is None else (nll_S.exp() > 1 / self.threshold).float()
        if hard_S.any():
            return (hard_S * nll_S).sum() / hard_S.sum()
        self.fallbacks += 1
        return nll_S.mean() if self.fallback else 0 * nll_S.sum()

    def _nll(self, batch: Sequence[int]) -> torch.Tensor:
        rows = [torch.tensor(prompt + target) for prompt, target in self.pairs]
        ids_BT = nn.utils.rnn.pad_sequence(rows, batch_first=True)[list(batch)]
        logits_BTV = self.model(input_ids=ids_BT, use_cache=False).logits
        losses = []
        for logits_TV, ids_T, pair in zip(logits_BTV, ids_BT, batch, strict=True):
            start, stop = len(self.pairs[pair][0]), len(self.pairs[pair][0]) + len(self.pairs[pair][1])
            losses.append(F.cross_entropy(logits_TV[start - 1 : stop - 1], ids_T[start:stop], reduction="none"))
        return torch.cat(losses)
