"""A question about rank, length or bits, and its answer."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from memlaw_analysis.advice.link import Link
from memlaw_analysis.law.bits import bits_in, tokens_worth

RECALL = 0.99
"""Share of tokens to recall where nothing else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Ask which rank a memory needs, or how long a memory a rank holds.

    Attributes:
        tokens: length of a text like the study's in tokens, where the rank is asked for.
        bits: bits of any memory that the base model does not know, where the rank is asked for.
        pairs: number of pairs that hold these bits.
        rank: LoRA rank, where the length is asked for.
        recall: share of tokens with p > 0.5 to reach; `RECALL` where `delta_loss` is None too.
        delta_loss: ΔL to reach, nats per token of the study's text, in place of `recall`.
        parameters_per_rank: trainable parameters per rank of the adapter that is asked about; None: the study's.

    Raises:
        ValueError: not exactly one of tokens, bits and rank, both recall and delta_loss, or a value outside its range.
    """

    tokens: float | None = None
    bits: float | None = None
    pairs: int = 1
    rank: float | None = None
    recall: float | None = None
    delta_loss: float | None = None
    parameters_per_rank: float | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.tokens, self.bits, self.rank)) != 1:
            raise ValueError("give tokens or bits, to ask for the rank, or rank, to ask for the length")
        if self.recall is not None and self.delta_loss is not None:
            raise ValueError("give recall or delta_loss, not both")
        for value in (self.tokens, self.bits, self.pairs, self.rank, self.delta_loss, self.parameters_per_rank):
            if value is not None:
                check_positive(value)
        if self.recall is not None:
            check_share(self.recall)

    def tokens_for(self, base_loss: float) -> float | None:
        """Return the length in tokens of a text with a mean loss of L0 nats; None where the length is asked for."""
        return self.tokens if self.bits is None else tokens_worth(self.bits, base_loss)

    def for_study(self, base_loss: float, scale: float) -> "Question":
        """Return the question in the study's terms: in tokens of its text and ranks of its adapter.

        Args:
            base_loss: L0 of its cells, nats per token.
            scale: how many ranks of its adapter have the parameters of one rank of the asked one.
        """
        rank = None if self.rank is None else self.rank * scale
        return replace(self, tokens=self.tokens_for(base_loss), bits=None, rank=rank)

    def delta_loss_for(self, cells: pd.DataFrame) -> float:
        """Return the ΔL to reach, nats per token; for a recall, the smallest that reaches it among these cells.

        Raises:
            NoAdvice: no cell reaches the recall.
        """
        if self.delta_loss is not None:
            return self.delta_loss
        recall = RECALL if self.recall is None else self.recall
        return Link.of(cells).needed(recall) * float(cells["base_loss_nats"].mean())


def check_positive(value: float) -> float:
    """Return a positive finite number.

    Raises:
        ValueError: it is not positive or not finite.
    """
    if not 0 < value < float("inf"):
        raise ValueError(f"{value:g} is not a positive number")
    return value


def check_share(value: float) -> float:
    """Return a share of tokens.

    Raises:
        ValueError: it is not above 0 and at most 1.
    """
    if not 0 < value <= 1:
        raise ValueError(f"{value:g} is not a share of tokens: above 0 and at most 1")
    return value


@dataclass(frozen=True, kw_only=True)
class Advice:
    """An answer with its 95 % interval. `print` shows it in words.

    Attributes:
        question: what was asked.
        value, low, high: rank, or length in tokens; the interval is NaN where it is not known.
        base_loss: L0 of the study's cells, nats per token.
        delta_loss: ΔL reached there, nats per token.
        recalled_share: share of tokens with p > 0.5 to expect there; NaN where no cell has one.
        parameters_per_rank: trainable parameters per rank of the adapter that is asked about; NaN where unknown.
        extrapolation: how far beyond the measured range the answer lies, as a factor; 1 inside.
        formula: formula of the fitted form.
        cells: how many cells it was fitted to.
        cautions: which cells were left out, and why.
        next_cells: (rank, length) of the cells that would narrow the interval most per token trained.
    """

    question: Question
    value: float
    low: float
    high: float
    base_loss: float
    delta_loss: float
    recalled_share: float
    parameters_per_rank: float
    extrapolation: float
    formula: str
    cells: int
    cautions: tuple[str, ...]
    next_cells: tuple[tuple[int, int], ...]

    @property
    def safe_rank(self) -> int:
        """The whole rank at the upper end of the interval, or the rank that was asked about."""
        if self.question.rank is not None:
            return int(self.question.rank)
        return int(np.ceil(self.high if np.isfinite(self.high) else self.value))

    def __str__(self) -> str:
        lines = list(self.sentences())
        if self.next_cells:
            lines.append("  These cells would narrow the interval most, per token trained (rank × length): "
                         + ", ".join(f"{rank} × {length}" for rank, length in self.next_cells))  # fmt: skip
        return "\n".join(lines)

    def sentences(self) -> Iterator[str]:
        """Yield the answer, its cost and what it is based on, a sentence a line."""
        rank = self.question.rank
        subject = f"{self._memory} need rank" if rank is None else f"Rank {rank:g} holds up to"
        unit = "" if rank is None else " tokens"
        interval = f"95 % interval {self.low:.3g} to {self.high:.3g}" if np.isfinite(self.low) else "interval not known"
        yield f"{subject} {self.value:.3g}{unit} ({interval}) for ΔL = {self.delta_loss:.3f} nats per token."
        if np.isfinite(self.parameters_per_rank):
            size = self.parameters_per_rank * self.safe_rank
            advised = f"To be safe take rank {self.safe_rank}" if rank is None else f"Rank {self.safe_rank}"
            yield f"  {advised}: {size:,.0f} parameters, {4 * size / 1e6:.2f} MB in fp32."
        if rank is not None:
            bits = bits_in(self.value, self.base_loss)
            yield f"  That is a memory of {bits:,.0f} bits that the base model does not know, or fewer."
        if np.isfinite(self.recalled_share):
            yield f"  Expect {self.recalled_share:.1%} of the tokens at p > 0.5, as in cells with that ΔL/L0."
        if self.extrapolation > 1:
            yield f"  This lies {self.extrapolation:.2g} times beyond the measured cells: an extrapolation."
        yield f"  By ΔL = {self.formula} on {self.cells} cells."
        yield from (f"  Caution: {caution}" for caution in self.cautions)

    @property
    def _memory(self) -> str:
        """What is to be stored, in words."""
        bits, tokens = self.question.bits, self.question.tokens_for(self.base_loss)
        return f"{tokens:g} tokens" if bits is None else f"{bits:,.0f} bits (like {tokens:,.0f} tokens of the study)"
