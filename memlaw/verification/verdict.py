"""A verdict on an adapter, and the case that it rests on."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from memlaw.core.wording import count
from memlaw.verification.loss_trend import LossTrend
from memlaw.verification.probes import Probe


@dataclass(frozen=True)
class Verdict:
    """A verdict.

    Attributes:
        kind: a key of `memlaw.study.verification.VERDICTS`.
        text: the verdict in a sentence.
        evidence: what it rests on.
        remedies: what would help.
    """

    kind: str
    text: str
    evidence: tuple[str, ...]
    remedies: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {"kind": self.kind, "text": self.text, "evidence": [*self.evidence], "remedies": [*self.remedies]}


@dataclass(frozen=True)
class Size:
    """The size of an adapter.

    Attributes:
        parameters: trainable ones; 0: not known.
        rank: None for tuners without one.
    """

    parameters: int
    rank: int | None


@dataclass(frozen=True)
class Case:
    """What is known of an adapter.

    Attributes:
        pairs: `memlaw.verification.evidence.pair_table`.
        tokens: `memlaw.verification.evidence.token_table`.
        size: of the adapter.
        probes: other ways to ask and to compute.
        trend: how its training ended; None: not known.
        named_base: the base model that it names, where another one was given.
        contradictions: number of pairs with the query of an earlier pair and another target.
    """

    pairs: pd.DataFrame
    tokens: pd.DataFrame
    size: Size
    probes: tuple[Probe, ...] = ()
    trend: LossTrend | None = None
    named_base: str | None = None
    contradictions: int = 0

    @property
    def remarks(self) -> tuple[str, ...]:
        """What stands beside every verdict but the best."""
        found = []
        if self.contradictions:
            pairs = count(self.contradictions, "pair")
            found.append(f"{pairs} with the query of an earlier one and another target: at most one can be recalled")
        if self.named_base:
            found.append(f"the checkpoint names the base model {self.named_base}; another one was given")
        return tuple(found)
