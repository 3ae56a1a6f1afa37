"""Judges one subject after another over one base model: scores, decodes, asks again, and applies the rules."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from peft import PeftType
from transformers import PreTrainedTokenizerBase

from memlaw.data.memory import Memory, Pair
from memlaw.data.prompt import Prompt
from memlaw.models.base import BaseModel, weights_fingerprint
from memlaw.models.sources import ModelSource
from memlaw.study.verification import BASE, VerificationPaths
from memlaw.training.decoding import reason_against_cache
from memlaw.verification.attached import Attached, attached
from memlaw.verification.batches import Batch, Kept, Shown, batches_of, pairs_of
from memlaw.verification.evidence import is_recalled, pair_table, summary, token_table
from memlaw.verification.loss_trend import loss_trend
from memlaw.verification.material import Material
from memlaw.verification.pair_verdicts import judge_pairs
from memlaw.verification.probes import Probe, probe, probe_decoding, probe_templates, sample
from memlaw.verification.prompts import variants
from memlaw.verification.rules import REQUIRED, judge, untouched
from memlaw.verification.scoring import score, written
from memlaw.verification.subject import Kind, Subject
from memlaw.verification.verdict import Case, Size, Verdict

AS_USUAL = Prompt("auto")
"""The chat template around the query, where the tokenizer has one."""


@dataclass(frozen=True)
class How:
    """How adapters are asked and computed.

    Attributes:
        prompt: how a query is put to the model.
        precision: dtype of the base model: fp32, bf16, or auto (`memlaw.models.devices`).
        device: a name of torch's, or auto.
        merged: whether adapters are added to the base model's weights, in their dtype.
        decode: whether targets are also written by greedy decoding.
        required: share of pairs that a recalled adapter brings back.
    """

    prompt: Prompt = AS_USUAL
    precision: str = "fp32"
    device: str = "auto"
    merged: bool = False
    decode: bool = True
    required: float = REQUIRED


@dataclass(frozen=True)
class Judged:
    """A judged subject.

    Attributes:
        subject: what was judged.
        pairs, tokens: its measurements; see `memlaw.verification.evidence`.
        size: of its adapter.
        modules: dotted names of adapted modules.
        probes: other ways that were tried.
        verdict: on all pairs.
    """

    subject: Subject
    pairs: pd.DataFrame
    tokens: pd.DataFrame
    size: Size
    modules: tuple[str, ...]
    probes: tuple[Probe, ...]
    verdict: Verdict

    @property
    def recalled(self) -> bool:
        """Whether the verdict is that its data is recalled."""
        return self.verdict.kind == "recalled"

    def pairs_with_verdicts(self) -> pd.DataFrame:
        """Return the rows of its pairs, with the columns `verdict` and `evidence`."""
        return judge_pairs(self.pairs, self.tokens, self.verdict)

    def record(self) -> dict[str, Any]:
        """Return its part of `verification.json`."""
        config = self.subject.config
        return {
            "name": self.subject.name,
            "path": str(self.subject.path) if self.subject.path else None,
            "tuner": PeftType(config.peft_type).value if config else None,
            "rank": self.size.rank,
            "trainable_parameters": self.size.parameters,
            "adapted_modules": [*self.modules],
            "summary": summary(self.pairs, self.tokens, self.size.parameters),
            "verdict": self.verdict.as_dict(),
            "probes": [asdict(probe) for probe in self.probes],
        }


@dataclass
class Judging:
    """Judges subjects over one base model, which is loaded anew where a subject changed it.

    Attributes:
        source: of the base model.
        base: the base model.
        tokenizer: with which the pairs were tokenized.
        material: the pairs as texts.
        pairs: the pairs as token ids.
        how: how they are asked and computed.
        out: directory of the results; None: nothing is kept.
        shown: shows the progress over batches.
    """

    source: ModelSource
    base: BaseModel
    tokenizer: PreTrainedTokenizerBase
    material: Material
    pairs: Sequence[Pair]
    how: How
    out: Path | None
    shown: Shown

    def __post_init__(self) -> None:
        self._memory = Memory(tuple(self.pairs)).fingerprint
        self._rows = [len(pair.query_ids) + len(pair.target_ids) for pair in self.pairs]
        self._against_cache = self.how.decode and reason_against_cache(self.base.model, self.pairs, max(self._rows))
        self._base_scores = self._scores(Attached(self.base.model, 0, ()), Subject(BASE, Kind.BASE))

    def judge(self, subject: Subject) -> Judged:
        """Judge one subject."""
        merged = self.how.merged and subject.kind is Kind.ADAPTER
        with attached(self.base, subject, merged) as on:
            is_base = subject.kind is Kind.BASE
            scores = self._base_scores if is_base else self._scores(on, subject)
            decoded = self._decoded(on, subject) if self.how.decode and not is_base else None
            tokens = token_table(self._base_scores, scores, subject.name, self._decode)
            pairs = pair_table(tokens, self._base_scores, decoded, self.material.pairs)
            probes = () if is_base else tuple(self._probes(on, pairs, tokens))
        if weights_fingerprint(self.base.model) != self.base.fingerprint:
            self.base = self.source.load(self.base.model.dtype, self.base.device)
        probes += tuple(self._in_fp32(subject, pairs, tokens))
        size = Size(on.parameters, getattr(subject.config, "r", None))
        if is_base:
            verdict = untouched(pairs)
        else:
            case = Case(
                pairs,
                tokens,
                size,
                probes,
                loss_trend(subject),
                self._named_base(subject),
                self.material.contradictions,
            )
            verdict = judge(case, self.how.required)
        return Judged(subject, pairs, tokens, size, on.modules, probes, verdict)

    def _named_base(self, subject: Subject) -> str | None:
        """The base model that a checkpoint names, where another one was given."""
        named = subject.config.base_model_name_or_path if subject.config and not subject.cell else None
        given = {getattr(self.source, "id", None), getattr(self.source, "path", None), self.base.model.name_or_path}
        return None if not named or named in given else str(named)

    def _decode(self, token: int) -> str:
        return str(self.tokenizer.decode([token]))

    def _kept(self, what: str, subject: Subject, batches: Sequence[Batch]) -> Kept:
        """The directory of results, named by all that they depend on."""
        if self.out is None:
            return Kept(None)
        parts = (what, self.base.fingerprint, str(self.base.model.dtype), subject.fingerprint, self._memory)
        merged = self.how.merged and subject.kind is Kind.ADAPTER
        key = hashlib.sha256("|".join([*parts, str(merged), str(batches)]).encode()).hexdigest()[:16]
        return Kept(VerificationPaths(self.out).scored / f"{what}-{key}")

    def _scores(self, on: Attached, subject: Subject) -> pd.DataFrame:
        def compute(batch: Batch) -> pd.DataFrame:
            return _by_pair(score(on.model, pairs_of(batch, self.pairs)), batch)

        batches = batches_of(self._rows)
        return self._kept("scores", subject, batches).run(batches, compute, self.shown)

    def _decoded(self, on: Attached, subject: Subject) -> pd.DataFrame:
        row_tokens = max(self._rows) if self._against_cache else None

        def compute(batch: Batch) -> pd.DataFrame:
            return _by_pair(written(on.model, pairs_of(batch, self.pairs), row_tokens), batch)

        batches = batches_of(self._rows)
        return self._kept("written", subject, batches).run(batches, compute, self.shown)

    def _probes(self, on: Attached, pairs: pd.DataFrame, tokens: pd.DataFrame) -> list[Probe]:
        """Ask again for pairs that were not recalled: in other ways, and with other decoding."""
        recalled = is_recalled(pairs)
        if recalled.mean() >= self.how.required:
            return []
        probes: list[Probe] = []
        parted = pairs["first_wrong"].isna() & ~recalled
        if parted.any():
            chosen = sample(pairs[parted], recalled[parted])
            probes += probe_decoding(on.model, pairs_of(chosen, self.pairs), _of(tokens, chosen))
        if recalled.mean() + parted.mean() < self.how.required:
            chosen = sample(pairs, recalled | parted)
            texts = [self.material.pairs[pair] for pair in chosen]
            ways = variants(self.tokenizer, self.how.prompt)
            probes += probe_templates(on.model, texts, ways, _of(tokens, chosen))
        return probes

    def _in_fp32(self, subject: Subject, pairs: pd.DataFrame, tokens: pd.DataFrame) -> list[Probe]:
        """Compute pairs that were not recalled in fp32 and without merging, where that is another way."""
        recalled = is_recalled(pairs)
        rounded = self.base.model.dtype != torch.float32
        if subject.kind is not Kind.ADAPTER or recalled.mean() >= self.how.required or not (rounded or self.how.merged):
            return []
        chosen = sample(pairs, recalled)
        exact = self.source.load(torch.float32, self.base.device)
        ways = [word for word, holds in (("in fp32", rounded), ("without merging", self.how.merged)) if holds]
        with attached(exact, subject) as on:
            made = pairs_of(chosen, self.pairs)
            return [probe("numerics", " and ".join(ways), on.model, made, _of(tokens, chosen))]


def _by_pair(table: pd.DataFrame, batch: Batch) -> pd.DataFrame:
    """Name pairs by their numbers in the data, not in the batch."""
    return table.assign(pair=[batch[index] for index in table["index"]]).drop(columns="index")


def _of(tokens: pd.DataFrame, pairs: Sequence[int]) -> pd.DataFrame:
    return tokens[tokens["pair"].isin(pairs)]
