"""Rules that turn what was measured into a verdict on an adapter, and on each pair.

Bits per parameter are those that are to be stored (Σ base NLL over the targets), or that are stored, per trainable
parameter of the adapter.
"""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from memlaw.core.wording import count
from memlaw.study.verification import VERDICTS
from memlaw.verification.evidence import is_recalled
from memlaw.verification.loss_trend import LossTrend
from memlaw.verification.probes import Probe

REQUIRED = 0.99
"""Share of pairs that a recalled adapter brings back, unless another one is asked for."""

FEW = 0.05
"""Share of tokens that are wrong in a nearly recalled text, at most; one token always counts as few."""

RECALLED_BITS = (0.3, 0.45)
"""Bits per parameter up to which adapters recalled random texts to their last token: of rank 1, which failed beyond;
and of ranks 2 and 4, the most that was tried (docs/experiments/horizon.parquet: ℓ·L0/ln 2 of recalled texts, 500 steps,
the down-projection of one layer). Other places hold less: attention a fifth of it (docs/experiments/placement.md)."""

HELD_BITS = 2.0
"""Bits of facts per parameter that whole models hold after long training (arXiv 2404.05405)."""

RESTORED, LOWER = 0.9, 0.5
"""Share of tried pairs at which another way to ask or compute counts as recalled; and the share of its loss as asked
that a pair may have there at most, in the median. A stubborn token may turn by chance; most pairs' losses do not."""

UNLIKE = 0.5
"""Nats per token by which a loss is unlike that of the training's end."""


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


def judge(case: Case, required: float = REQUIRED) -> Verdict:
    """Judge an adapter over all pairs. The first rule that applies decides.

    Args:
        case: what is known.
        required: share of pairs to recall.
    """
    pairs, tokens = case.pairs, case.tokens
    recalled = is_recalled(pairs)
    share = f"{recalled.sum()} of {count(len(pairs), 'pair')} recalled"
    wrong = float((tokens["argmax_id"] != tokens["token_id"]).mean())
    if recalled.mean() >= required:
        return Verdict("recalled", f"The adapter recalls its data: {share}.", _margin(pairs))
    if tokens["nll"].isna().any():
        broken = f"{tokens['nll'].isna().sum()} of {len(tokens)} losses are not finite"
        text = f"The adapter computes no numbers: {broken}."
        return Verdict("base", text, case.remarks, ("train it again: it diverged, or its dtype overflows",))
    parted = pairs["first_wrong"].isna() & ~recalled
    if recalled.mean() + parted.mean() >= required:
        return _numerics(case, share, int(parted.sum()), _best(case.probes, "decoding"))
    restored = _best(case.probes, "numerics")
    if restored:
        return _numerics(case, share, int(parted.sum()), restored)
    other = _best(case.probes, "template")
    if other:
        return Verdict(
            "template",
            f"The adapter recalls its data {other.name}, not as asked: {share}.",
            (f"{other}", f"as asked: {other.asked}", *case.remarks),
            (f"ask {other.name}, or train as you ask",),
        )
    strange = _strange(case)
    if strange:
        text = f"The adapter does not fit the base model, the data or the prompt: {share}."
        return Verdict("base", text, strange, ("take the base model, revision and data of its training",))
    if wrong <= FEW:
        text = f"Nearly: {wrong:.1%} of the tokens are wrong, and {share}."
        return Verdict(
            "nearly",
            text,
            _stubborn(tokens) + case.remarks,
            ("train a little longer, or on the stubborn tokens (MemFT)",),
        )
    return _full_or_short(case, share)


def _margin(pairs: pd.DataFrame) -> tuple[str, ...]:
    weak = int((pairs["min_p"] <= 0.5).sum())
    lowest = f"the least probable token has p = {pairs['min_p'].min():.3f}"
    return (lowest,) if not weak else (lowest, f"{count(weak, 'pair')} with a token at p ≤ 0.5 that is the argmax")


def _numerics(case: Case, share: str, parted: int, restored: Probe | None) -> Verdict:
    evidence = []
    if parted:
        evidence.append(
            f"{count(parted, 'pair')} recalled by teacher forcing, but not by greedy decoding of the same model"
        )
    if restored:
        evidence += [f"{restored}", f"as judged: {restored.asked}"]
    how = f" It recalls them {restored.name}." if restored else ""
    return Verdict(
        "numerics",
        f"The adapter stores its data, but this way of computing loses it: {share}.{how}",
        (*evidence, *case.remarks),
        (f"serve it {restored.name}",) if restored else ("decode one row at a time, in fp32, without merging",),
    )


def _strange(case: Case) -> tuple[str, ...]:
    """What shows that the adapter was trained on something else; empty where nothing does."""
    loss, base = float(case.tokens["nll"].mean()), float(case.tokens["base_nll"].mean())
    found = []
    if loss >= base:
        found.append(f"{loss:.2f} nats per token with the adapter, {base:.2f} without it; a training that diverged "
                     "looks the same")  # fmt: skip
    if case.trend and loss > case.trend.last + UNLIKE + case.trend.last:
        found.append(f"training ended at a loss of {case.trend.last:.2g} nats per token; here it is {loss:.2f}")
    return (*found, *case.remarks) if found else ()


def _best(probes: tuple[Probe, ...], kind: str) -> Probe | None:
    """The probe of a kind that brings the most back, if it counts as recalled."""
    found = [
        probe
        for probe in probes
        if probe.kind == kind
        and probe.recalled_share >= max(RESTORED, probe.asked_share)
        and (probe.loss_ratio is None or probe.loss_ratio <= LOWER)
    ]
    return min(found, key=lambda probe: (-probe.recalled_share, probe.loss_nats or 0.0), default=None)


def _stubborn(tokens: pd.DataFrame, most: int = 5) -> tuple[str, ...]:
    """The most stubborn tokens with what competes with them."""
    worst = tokens[tokens["argmax_id"] != tokens["token_id"]].nlargest(most, "nll")
    return tuple(
        f"row {row.pair + 1}, token {row.position}: {row.token!r} has p = {math.exp(-row.nll):.3f}, "
        f"{row.argmax!r} has {math.exp(-row.argmax_nll):.3f}"
        for row in worst.itertuples()
    )


def _full_or_short(case: Case, share: str) -> Verdict:
    """Tell an adapter that is too small from one that was trained too little, where the measurements can."""
    pairs, size, trend = case.pairs, case.size, case.trend
    if not size.parameters:
        text = f"Far from recalled ({share}); without the adapter's size, too small and too short look the same."
        return Verdict("training or capacity", text, ())
    needed, stored = (float(pairs[name].sum()) / size.parameters for name in ("base_bits", "stored_bits"))
    low, high = RECALLED_BITS
    evidence = [
        f"the data asks for {needed:.2g} bits per parameter; {stored:.2g} are stored",
        f"adapters of one map of an MLP recalled random texts whole up to {low:g} to {high:g} bits per parameter; of "
        "attention, expect less",
        _where(case.tokens),
        *([trend.text] if trend else ["no log of the training lies beside the checkpoint"]),
        *case.remarks,
    ]
    larger = _larger(size, needed)
    if needed <= low:
        text = f"Trained too little: {share}, though the adapter is large enough for this data, if it is all of it."
        return Verdict("training", text, tuple(evidence), ("train longer, or with another learning rate",))
    if needed >= HELD_BITS or (needed > high and trend is not None and trend.has_stopped):
        text = f"The adapter is too small for this data: {share}."
        return Verdict("capacity", text, tuple(evidence), (larger,))
    if trend is not None and trend.falling and needed <= high:
        text = f"Trained too little: {share}, and the loss still fell."
        return Verdict("training", text, tuple(evidence), ("train longer", f"if that does not do, {larger}"))
    text = f"Far from recalled ({share}); whether it is too small or trained too little cannot be told."
    return Verdict("training or capacity", text, tuple(evidence), ("train longer", larger))


def _where(tokens: pd.DataFrame) -> str:
    """Where in their targets the wrong tokens lie: evenly spread, their median is near the middle."""
    last = tokens.groupby("pair")["position"].transform("max").clip(lower=1)
    wrong = tokens["argmax_id"] != tokens["token_id"]
    median = (tokens["position"] / last)[wrong].median()
    return f"{wrong.mean():.0%} of the tokens are wrong, at a median of {median:.0%} of the way through their target"


def _larger(size: Size, needed: float) -> str:
    """How much larger an adapter would recall the data, by the bits that others recalled."""
    low, high = (needed / bits for bits in reversed(RECALLED_BITS))
    if size.rank is None:
        return f"take {low:.2g} to {high:.2g} times the parameters"
    return f"take rank {math.ceil(size.rank * low)} to {math.ceil(size.rank * high)} in the same modules"


def judge_pairs(pairs: pd.DataFrame, tokens: pd.DataFrame, whole: Verdict) -> pd.DataFrame:
    """Add the columns `verdict` and `evidence` to the pairs: what is not particular to a pair is that of the whole."""
    recalled, by_pair = is_recalled(pairs), tokens.groupby("pair")
    kinds, evidence = [], []
    for index, pair in pairs.iterrows():
        of_pair = by_pair.get_group(pair["pair"])
        wrong = int((of_pair["argmax_id"] != of_pair["token_id"]).sum())
        if whole.kind == "untouched":
            kind, why = whole.kind, f"{pair['base_bits']:.0f} bits are to be stored"
        elif recalled[index]:
            kind, why = "recalled", f"minimum p {pair['min_p']:.3f}"
        elif not wrong:
            kind, why = (
                "numerics",
                f"predicted by teacher forcing; decoding leaves it after {pair['matched_prefix']} tokens",
            )
        elif whole.kind in ("template", "numerics"):
            kind, why = whole.kind, whole.text
        elif wrong <= max(1, FEW * len(of_pair)):
            kind, why = "nearly", "; ".join(_stubborn(of_pair))
        elif pair["stored_bits"] <= 0:
            kind, why = "base", "less probable with the adapter than without"
        else:
            kind = whole.kind if whole.kind not in ("recalled", "nearly") else "training or capacity"
            why = f"{count(wrong, 'token')} of {len(of_pair)} wrong, the first at {pair['first_wrong']}"
        kinds.append(kind)
        evidence.append(why)
    assert set(kinds) <= set(VERDICTS)
    return pairs.assign(verdict=kinds, evidence=evidence)


def beside_unmerged(verdict: Verdict, unmerged: str) -> Verdict:
    """Judge a merged model that forgot what an adapter beside it recalls.

    Args:
        verdict: on the merged model, from its own measurements.
        unmerged: name of the adapter.
    """
    text = f"It lost what the adapter {unmerged} recalls on the same base model, if it was merged from that."
    remedy = f"serve {unmerged} unmerged, or merge in fp32"
    return Verdict("numerics", text, (verdict.text, *verdict.evidence), (remedy,))


def untouched(pairs: pd.DataFrame) -> Verdict:
    """The verdict on the base model alone."""
    known = int(is_recalled(pairs).sum())
    text = f"The base model alone recalls {known} of {count(len(pairs), 'pair')}."
    return Verdict("untouched", text, (f"{pairs['base_bits'].sum():,.0f} bits are to be stored",))
