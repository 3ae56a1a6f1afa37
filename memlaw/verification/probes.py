"""Asks for pairs that were not recalled in other ways, and computes them in other ways."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from memlaw.core.errors import ConfigError
from memlaw.core.wording import count
from memlaw.data.memory import Pair
from memlaw.data.turns import TextPair
from memlaw.verification.prompts import Variant
from memlaw.verification.scoring import score, written

PROBED_PAIRS, PROBED_TOKENS = 16, 4096
"""Most pairs of a probe, and most of their tokens."""


@dataclass(frozen=True)
class Probe:
    """What another way brought.

    Attributes:
        kind: `template`, another way to ask, `numerics`, another way to compute, or `decoding`, another way to decode.
        name: how, in words that continue "recalled …".
        pairs: number of pairs that were tried.
        loss_nats: mean loss of their target tokens; None where they were decoded, not scored.
        asked_loss_nats: that loss the way it was asked and computed.
        recalled_share: share of the pairs without a wrong argmax, or that were decoded exactly.
        asked_share: that share the way it was asked and computed.
        loss_ratio: median over the pairs of their loss by their loss the way they were asked; None: not scored.
    """

    kind: str
    name: str
    pairs: int
    loss_nats: float | None
    asked_loss_nats: float
    recalled_share: float
    asked_share: float
    loss_ratio: float | None

    def __str__(self) -> str:
        loss = "" if self.loss_nats is None else f", {self.loss_nats:.2g} nats per token"
        return f"{self.name}: {self._of(self.recalled_share)}{loss}"

    @property
    def asked(self) -> str:
        """What the way it was asked and computed brought, in words."""
        return f"{self._of(self.asked_share)}, {self.asked_loss_nats:.2g} nats per token"

    def _of(self, share: float) -> str:
        return f"{round(share * self.pairs)} of {count(self.pairs, 'pair')} recalled"


def sample(pairs: pd.DataFrame, recalled: pd.Series) -> list[int]:
    """Choose pairs to try, as many as a probe may have: those not recalled first, the shortest first."""
    order = pairs.assign(recalled=recalled).sort_values(["recalled", "tokens"], kind="stable").head(PROBED_PAIRS)
    fit = order[order["tokens"].cumsum() <= PROBED_TOKENS]
    return [int(pair) for pair in (fit if len(fit) else order.head(1))["pair"]]


def probe_templates(
    model: PreTrainedModel, texts: Sequence[TextPair], ways: Iterable[Variant], asked: pd.DataFrame
) -> Iterator[Probe]:
    """Score pairs put to the model in other ways. A way in which a pair cannot be put is left out.

    Args:
        model: with the adapter.
        texts: the pairs.
        ways: to ask.
        asked: their tokens the way it was asked: pair, token_id, nll, argmax_id.
    """
    for way in ways:
        try:
            made = [way.make(text) for text in texts]
        except ConfigError:
            continue
        if all(pair.target_ids for pair in made):
            yield probe("template", way.name, model, made, asked)


def probe_decoding(model: PreTrainedModel, pairs: Sequence[Pair], asked: pd.DataFrame) -> Iterator[Probe]:
    """Decode pairs in other ways, which teacher forcing predicts and decoding in batches did not write."""
    row_tokens = max(len(pair.query_ids) + len(pair.target_ids) for pair in pairs)
    for name, tokens in (("one row at a time", None), ("by whole rows, without a cache", row_tokens)):
        exact = [bool(written(model, [pair], tokens)["exact"].iloc[0]) for pair in pairs]
        yield Probe("decoding", name, len(pairs), None, float(asked["nll"].mean()), float(np.mean(exact)), 0.0, None)


def probe(kind: str, name: str, model: PreTrainedModel, pairs: Sequence[Pair], asked: pd.DataFrame) -> Probe:
    """Score pairs another way, each in a row alone."""
    tokens = pd.concat([score(model, [pair]).assign(pair=index) for index, pair in enumerate(pairs)])
    loss, asked_loss = float(tokens["nll"].mean()), float(asked["nll"].mean())
    by_pair, asked_by_pair = (each.groupby("pair")["nll"].mean().to_numpy() for each in (tokens, asked))
    ratio = float(np.median(by_pair / np.maximum(asked_by_pair, np.finfo(np.float32).tiny)))
    return Probe(kind, name, len(pairs), loss, asked_loss, _recalled(tokens), _recalled(asked), ratio)


def _recalled(tokens: pd.DataFrame) -> float:
    """Share of pairs without a wrong argmax."""
    return float((tokens["argmax_id"] == tokens["token_id"]).groupby(tokens["pair"]).all().mean())
