"""Studies on disk that the analysis tests share: cells that follow a known law exactly."""

import html
import re
from pathlib import Path

import numpy as np
from memlaw_analysis.law.forms import Inputs, power

from helpers.synthetic import TRUTH
from memlaw.core.files import write_json
from memlaw.study.records import Evaluated, TokenLog, write_tokens

BASE_LOSS = 13.24


def write_cell(
    root: Path,
    rank: int,
    length: int,
    seed: int = 0,
    model: str = "m",
    method: str = "sft",
    shift: float = 0.0,
    **more: object,
) -> None:
    """A finished cell, `shift` nats above the law; four of its tokens are recorded, after 0, 1 and 10 steps."""
    delta_loss = float(np.minimum(power(Inputs.grid(rank, length, BASE_LOSS), **TRUTH), 13.2 - shift)) + shift
    row = {
        "cell": f"{model}{'' if method == 'sft' else '-' + method}-{rank}-{length}-{seed}",
        "model.name": model, "data.name": "long_context",
        "method.name": method, "lora.rank": rank, "seq_len": length, "seed": seed, "steps": 200,
        "target_tokens": length, "dtype": "float32", "model_fingerprint": model,
        "base_loss_nats": BASE_LOSS, "loss_nats": BASE_LOSS - delta_loss, "delta_loss_nats": delta_loss,
        "recalled_share": 0.5, "first_stubborn": None, "bits_per_parameter": 1.0,
        "trainable_parameters": 2112 * rank, "version.torch": "1",
        "steps_trained": 10, "seconds": 20.0, "worker_seconds": 20.0, "step_flops": 8e6,
        "pack_size": 1, "device": "cpu", **more,
    }  # fmt: skip
    cell = root / str(row["cell"])
    write_json(cell / "result.json", row)
    write_json(cell / "status.json", {"state": "done"})
    log = TokenLog(np.zeros(4, int), np.arange(4), np.arange(4))
    log.add(Evaluated(0, np.full(4, BASE_LOSS), np.full(4, 9), np.ones(4), np.ones(4)))
    log.add(Evaluated(1, np.full(4, 5.0), np.full(4, 9), np.ones(4), np.ones(4)))
    last_S = np.array([0.1, 0.2, 0.8, 3.0])
    log.add(Evaluated(10, last_S, np.array([0, 1, 2, 9]), np.minimum(last_S, 1.0), np.ones(4)))
    write_tokens(cell / "tokens.parquet", log.table())


def write_study(
    root: Path, models: tuple[str, ...] = ("m",), lengths: tuple[int, ...] = (128, 512, 2048), **more: object
) -> Path:
    """Ranks 1, 2, 4 at each length, for each model."""
    for model in models:
        for rank in (1, 2, 4):
            for length in lengths:
                write_cell(root, rank, length, model=model, **more)
    return root


def page_text(report: Path) -> str:
    """The words of a report's page, without its markup."""
    page = (report / "report.html").read_text(encoding="utf-8")
    return html.unescape(re.sub(r"<[^>]+>", "", page))
