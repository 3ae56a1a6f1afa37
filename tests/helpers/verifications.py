"""Made-up verifications on disk: pairs with texts that try to break a page."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from memlaw.core.files import write_json
from memlaw.study.verification import BASE, PAIR_COLUMNS, TOKEN_COLUMNS, VerificationPaths

TEXTS = ("<b>x</b>", "\n", "\t", "\x00", "\u202e", "�", "שלום", "w" * 200, " plain", "", "&amp;", "</script>")


def write_verification(
    directory: Path, pairs: int = 4, length: int = 12, adapters: Sequence[str] = ("good", BASE), probes: bool = True
) -> Path:
    """Verify made-up adapters: pair 0 is the most stubborn and breaks at its fourth token, later ones are easier."""
    paths, random = VerificationPaths(directory), np.random.default_rng(0)
    write_json(paths.record, _record(pairs, pairs * length, adapters, probes))
    tokens = pd.concat(
        [_tokens(name, pair, pairs, length, random) for name in adapters for pair in range(pairs)], ignore_index=True
    )
    tokens.to_parquet(_ready(paths.tokens), index=False)
    pd.DataFrame(
        [_pair(name, pair, rows) for (name, pair), rows in tokens.groupby(["adapter", "pair"], sort=False)],
        columns=list(PAIR_COLUMNS),
    ).to_parquet(paths.pairs, index=False)
    return directory


def _ready(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _tokens(name: str, pair: int, pairs: int, length: int, random: np.random.Generator) -> pd.DataFrame:
    base = random.uniform(1, 8, length)
    nll = base.copy() if name == BASE else random.exponential(0.02, length)
    rival, rival_nll = np.arange(length), np.minimum(nll, 0.5)
    if pair < max(2, pairs // 3) and length > 3:
        nll[3], rival[3], rival_nll[3] = 2 + 3 * (1 - pair / pairs), 10_000, 0.3
    if name == BASE:
        rival, rival_nll = rival + 10_000, np.full(length, 0.9)
    return pd.DataFrame(
        {
            "adapter": name, "pair": pair, "position": np.arange(length), "token_id": np.arange(length),
            "token": [TEXTS[index % len(TEXTS)] for index in range(length)], "base_nll": base, "nll": nll,
            "argmax_id": rival, "argmax": ["<i>rival</i>" if index >= 10_000 else TEXTS[index % 12] for index in rival],
            "argmax_nll": rival_nll,
        },
        columns=list(TOKEN_COLUMNS),
    )  # fmt: skip


def _pair(name: str, pair: int, rows: pd.DataFrame) -> dict[str, object]:
    p, wrong = np.exp(-rows["nll"].to_numpy()), (rows["argmax_id"] != rows["token_id"]).to_numpy()
    stubborn = p <= 0.5
    return {
        "adapter": name, "pair": pair, "row": pair + 1,
        "query": f"Query {pair} <img src=x onerror=alert(1)>\nsecond line", "target": "".join(rows["token"]),
        "tokens": len(rows), "base_nats": rows["base_nll"].sum(), "nats": rows["nll"].sum(),
        "base_bits": rows["base_nll"].sum() / np.log(2),
        "stored_bits": (rows["base_nll"] - rows["nll"]).sum() / np.log(2),
        "min_p": p.min(), "stubborn": int(stubborn.sum()),
        "first_stubborn": int(stubborn.argmax()) if stubborn.any() else None,
        "first_wrong": int(wrong.argmax()) if wrong.any() else None, "base_first_wrong": 0,
        "exact": None if name == BASE else not wrong.any(), "matched_prefix": None if name == BASE else len(rows),
        "verdict": "untouched" if name == BASE else "nearly" if stubborn.any() else "recalled",
        "evidence": "1 token with p ≤ 0.5 <evidence>",
    }  # fmt: skip


def _record(pairs: int, tokens: int, adapters: Sequence[str], probes: bool) -> dict[str, object]:
    return {
        "version": "1.0", "created": "2026-01-01T00:00:00+00:00",
        "command": "python -m memlaw.verify --adapter good --data <facts>.jsonl",
        "model": {"name": "tiny", "location": "/models/tiny", "fingerprint": "abc",
                  "dtype": "float32", "device": "cpu"},
        "data": {"path": "data/<facts>.jsonl", "query_from": "field prompt", "target_from": "field completion",
                 "pairs": pairs, "target_tokens": tokens},
        "prompt": "the model's chat template", "adapters": [_adapter(name, probes) for name in adapters],
    }  # fmt: skip


def _adapter(name: str, probes: bool) -> dict[str, object]:
    base = name == BASE
    return {
        "name": name, "path": None if base else f"/adapters/{name}", "tuner": None if base else "LORA",
        "rank": None if base else 8, "trainable_parameters": 0 if base else 100_000,
        "adapted_modules": [] if base else ["q_proj", "v_proj"],
        "summary": {"base_loss_nats": 4.5, "loss_nats": 4.5 if base else 0.1, "base_bits": 3000.0,
                    "stored_bits": 2900.0,
                    "bits_per_parameter": 0.03, "recalled_share": 0.98, "recalled_pairs": 0.66,
                    "exact_share": None if base else 0.7, "min_p": 0.01, "control_exact_share": 0.0},
        "verdict": {"kind": "untouched" if base else "nearly", "text": "A few <stubborn> tokens are left.",
                    "evidence": ["1 % of the tokens have p ≤ 0.5"], "remedies": ["train 200 more steps"]},
        "probes": [{"kind": "template", "name": "without system turn", "pairs": 4, "loss_nats": 1.25,
                    "asked_loss_nats": 2.5, "recalled_share": 0.5, "asked_share": 0.25}] if probes and not base else [],
    }  # fmt: skip
