"""Rules that turn what was measured of an adapter into a verdict. The first that applies decides."""

import pandas as pd

from memlaw.core.wording import count
from memlaw.verification.evidence import is_recalled, stubborn
from memlaw.verification.probes import Probe
from memlaw.verification.size_or_steps import too_small_or_too_short
from memlaw.verification.verdict import Case, Verdict

REQUIRED = 0.99
"""Share of pairs that a recalled adapter brings back, unless another one is asked for."""

FEW = 0.05
"""Share of tokens that are wrong in a nearly recalled text, at most; one token always counts as few."""

RESTORED, LOWER = 0.9, 0.5
"""Share of tried pairs at which another way to ask or compute counts as recalled; and the share of its loss as asked
that a pair may have there at most, in the median. A stubborn token may turn by chance; most pairs' losses do not."""

UNLIKE = 0.5
"""Nats per token by which a loss is unlike that of the training's end."""


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
            stubborn(tokens) + case.remarks,
            ("train a little longer, or on the stubborn tokens (MemFT)",),
        )
    return too_small_or_too_short(case, share)


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
