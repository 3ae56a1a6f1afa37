"""Judges adapters on a user's data: `verify`, and what it found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from memlaw.core.errors import ConfigError, one_line
from memlaw.core.files import atomic_path, write_json
from memlaw.core.version import __version__
from memlaw.data.fields import text_pairs
from memlaw.data.prompt import Prompt
from memlaw.models.base import BaseModel, known_ids, positions
from memlaw.models.devices import resolve_device, resolve_precision
from memlaw.study.verification import PAIR_COLUMNS, TOKEN_COLUMNS, VerificationPaths
from memlaw.verification.base_source import named_source
from memlaw.verification.batches import Shown, silent
from memlaw.verification.judging import How, Judged, Judging
from memlaw.verification.material import Material, Where, read_material, tokenized
from memlaw.verification.rules import beside_unmerged
from memlaw.verification.subject import Kind, Subject, subjects_of
from memlaw.verification.verdict import Verdict


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        record: the content of `verification.json`.
        pairs: a row per adapter and pair; columns `memlaw.study.verification.PAIR_COLUMNS`.
        tokens: a row per adapter, pair and target token; columns `memlaw.study.verification.TOKEN_COLUMNS`.
        verdicts: name of an adapter → verdict.
    """

    record: dict[str, Any]
    pairs: pd.DataFrame
    tokens: pd.DataFrame
    verdicts: dict[str, Verdict]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the only adapter. Raises ValueError where there are several; see `verdicts`."""
        (verdict,) = self.verdicts.values()
        return verdict

    @property
    def recalled_pairs(self) -> dict[str, float]:
        """Name of an adapter → share of pairs that it recalls."""
        return {adapter["name"]: adapter["summary"]["recalled_pairs"] for adapter in self.record["adapters"]}

    def to_frame(self) -> pd.DataFrame:
        """Return the rows of pairs."""
        return self.pairs

    def write(self, directory: Path) -> None:
        """Write the files of a verification, its record last."""
        paths = VerificationPaths(directory)
        for path, table in ((paths.pairs, self.pairs), (paths.tokens, self.tokens)):
            with atomic_path(path) as temporary:
                table.to_parquet(temporary)
        write_json(paths.record, self.record)


def verify(
    model: str | None,
    adapter: str | Path | Sequence[str | Path],
    data: str | Path | Where | Sequence[Mapping[str, Any]],
    how: How | None = None,
    out: str | Path | None = None,
    shown: Shown = silent,
    command: str = "",
) -> Verification:
    """Judge adapters on the pairs of some data.

    Args:
        model: the base model: a path, an option of `conf/model/`, or a Hub id; None: the one that the first adapter
            names.
        adapter: PEFT checkpoints, memlaw cells, merged models, or `none` for the base model.
        data: a file, a data set, or rows with fields as `memlaw.data.fields` knows them.
        how: how they are asked and computed.
        out: where the results are written. A second call with equal arguments goes on after an interruption.
        shown: shows the progress over batches.
        command: that reproduces it, for the record.

    Raises:
        ConfigError: something that is given cannot be used.
    """
    how, out = how or How(), Path(out) if out else None
    if out and out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file; give a directory")
    given = [adapter] if isinstance(adapter, str | Path) else [*adapter]
    subjects = subjects_of([str(path) for path in given])
    material, path = _material(data)
    source = named_source(model) if model else subjects[0].base_source()
    device = resolve_device(how.device)
    base = source.load(resolve_precision(how.precision, device), device)
    tokenizer = _tokenizer(base, subjects)
    pairs = tokenized(material, how.prompt, tokenizer, positions(base.model.config), known_ids(base.model))
    judging = Judging(source, base, tokenizer, material, pairs, how, out, shown)
    judged = _beside_each_other([judging.judge(subject) for subject in subjects])
    record = {
        "version": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "model": {
            "name": getattr(source, "name", ""),
            "location": getattr(source, "id", None) or getattr(source, "path", None),
            "fingerprint": base.fingerprint,
            "dtype": str(base.model.dtype).removeprefix("torch."),
            "device": str(base.device),
        },
        "data": {
            "path": path,
            "query_from": material.query_from,
            "target_from": material.target_from,
            "pairs": len(pairs),
            "contradictions": material.contradictions,
            "target_tokens": sum(len(pair.target_ids) for pair in pairs),
        },
        "prompt": _in_words(how.prompt, tokenizer),
        "adapters": [each.record() for each in judged],
    }
    found = Verification(
        record,
        pd.concat([each.pairs_with_verdicts() for each in judged], ignore_index=True)[[*PAIR_COLUMNS]],
        pd.concat([each.tokens for each in judged], ignore_index=True)[[*TOKEN_COLUMNS]],
        {each.subject.name: each.verdict for each in judged},
    )
    if out:
        found.write(out)
    return found


def _beside_each_other(judged: Sequence[Judged]) -> list[Judged]:
    """Judge merged models again, by adapters beside them that recall the data."""
    unmerged = next((each for each in judged if each.recalled and each.subject.kind is Kind.ADAPTER), None)
    if unmerged is None:
        return [*judged]
    return [
        each
        if each.recalled or each.subject.kind is not Kind.MODEL
        else replace(each, verdict=beside_unmerged(each.verdict, unmerged.subject.name))
        for each in judged
    ]


def _material(data: str | Path | Where | Sequence[Mapping[str, Any]]) -> tuple[Material, str]:
    if isinstance(data, str | Path):
        data = Where(str(data))
    if isinstance(data, Where):
        return read_material(data), data.path
    if not data:
        raise ConfigError("data has no rows")
    found = text_pairs(data, "data")
    return Material(found.pairs, found.form.query_from, found.form.target_from), "rows"


def _tokenizer(base: BaseModel, subjects: Sequence[Subject]) -> PreTrainedTokenizerBase:
    """The tokenizer that lies beside the adapters, with its chat template; else the base model's.

    Raises:
        ConfigError: it cannot be read, or adapters have different ones.
    """
    found: dict[tuple[str, int], PreTrainedTokenizerBase] = {}
    for subject in subjects:
        if subject.kind is Kind.ADAPTER and subject.path and (subject.path / "tokenizer_config.json").is_file():
            try:
                tokenizer = AutoTokenizer.from_pretrained(str(subject.path), local_files_only=True)
            except Exception as error:  # foreign files cause errors of many classes
                raise ConfigError(f"{subject.where}: its tokenizer cannot be read: {one_line(error)}") from error
            found.setdefault((str(tokenizer.chat_template), len(tokenizer)), tokenizer)
    if len(found) > 1:
        raise ConfigError("the adapters come with different tokenizers or chat templates; judge them one at a time")
    return next(iter(found.values()), base.tokenizer)


def _in_words(prompt: Prompt, tokenizer: PreTrainedTokenizerBase) -> str:
    if prompt.chat_template == "off" or not tokenizer.chat_template:
        return "the query alone, without a chat template"
    system = f" with the system turn {prompt.system_prompt!r}" if prompt.system_prompt else ""
    return f"the tokenizer's chat template{system}"
