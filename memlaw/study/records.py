"""Write and read the tables of tokens and cells. Their columns are the only contract between training and analysis."""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from memlaw.core.files import AnyPath, atomic_path, write_json
from memlaw.core.json_file import read_object
from memlaw.study.kept_cells import cell_directories
from memlaw.study.result import read_result
from memlaw.study.status import DONE, read_status

CRITICAL_LOSS_NATS = math.log(2)
"""ℒ_crit: a token with a smaller loss has p > 0.5 and is certain to be recalled (paper, section 4)."""

TOKEN_COLUMNS = {
    "step": ("int32", "optimizer steps taken before this evaluation; log-spaced, and the cell's last"),
    "pair": ("int32", "index of the pair in the memory"),
    "position": ("int32", "position in the pair's target, from 0"),
    "token_id": ("int32", "the target token"),
    "base_nll": ("float32", "its loss under the base model, nats"),
    "nll": ("float32", "its loss under base and adapter, nats; p = exp(-nll)"),
    "argmax_id": ("int32", "the most probable token there, given the true prefix"),
    "argmax_nll": ("float32", "its loss under base and adapter, nats: -ln of the largest probability there"),
    "weight": ("float32", "its weight in the method's loss there; 0: not trained any more"),
}
"""Columns of `tokens.parquet`, a row per evaluation and target token: name → (dtype, meaning)."""

RESULT_COLUMNS = {
    "cell": "name of the cell: its directory, its W&B run",
    "base_loss_nats": "L0: mean loss of the target tokens under the base model",
    "loss_nats": "L: mean loss of the target tokens under base and adapter",
    "delta_loss_nats": "ΔL = L0 - L",
    "recalled_share": "share of target tokens with p > 0.5",
    "min_p": "smallest probability of a target token",
    "first_stubborn": "index of the first target token with p <= 0.5, all pairs in order; null: none",
    "first_wrong": "index of the first target token whose argmax is wrong, all pairs in order; null: none",
    "teacher_forced_accuracy": "share of target tokens that are the argmax, given the true prefix",
    "recall_exact_share": "share of pairs that greedy decoding from the query alone brings back exactly",
    "recall_token_accuracy": "share of target tokens that it brings back at their place",
    "recall_matched_share": "mean share of a target that it brings back before its first failure",
    "recall_unlike_predicted": "pairs whose first failure is not the one that teacher forcing predicts",
    "recall_order_violations": "pairs whose first failure comes before the first p <= 0.5: must be 0",
    "recall_decoding": "cache: with a KV cache | rows: by whole rows, where a cache gives something else",
    "control_exact_share": "share of pairs that the base model brings back without an adapter",
    "control_token_accuracy": "share of target tokens that it brings back at their place",
    "sample_exact_share": "share of pairs brought back exactly by sampling; null: eval.recall.temperature=null",
    "sample_token_accuracy": "share of target tokens brought back at their place by sampling",
    "base_held_out_loss_nats": "mean loss of a held-out ordinary text under the base model; null: side effects off",
    "held_out_loss_nats": "its mean loss under base and adapter",
    "forgetting_nats": "held_out_loss_nats - base_held_out_loss_nats: what the memory costs elsewhere",
    "held_out_fingerprint": "hash of that text",
    "active_share": "mean weight of the target tokens in the method's loss: what is still trained",
    "spent_share": "share of all weight that lies on tokens with p > 0.5; 0 where there is no weight",
    "memorized_bits": "target_tokens · ΔL / ln 2",
    "bits_per_parameter": "memorized_bits / trainable_parameters",
    "bits_per_effective_parameter": "memorized_bits / effective_parameters; null: effective_parameters is 0",
    "source_entropy_nats": "H: entropy of the source that drew the target, nats per token; null: not known exactly",
    "unintended_memorization_nats": "target_tokens · (H - L): what is stored about this target beyond its source",
    "unintended_bits_per_parameter": "unintended_memorization_nats / ln 2 / trainable_parameters",
    "trainable_parameters": "parameters of the adapter",
    "effective_parameters": "those that can matter: ρ · (out + k - ρ) with k = input_rank, ρ = min(lora.rank, out, k); "
    "an upper bound where input_rank is null (memlaw.adapters.degrees_of_freedom)",
    "input_rank": "k: measured rank of the adapted module's inputs; null: several modules, or inputs that change",
    "base_parameters": "parameters of the base model, embeddings included",
    "scale": "factor on the adapter's output",
    "adapted_modules": "names of the adapted modules, without layer numbers",
    "adapted_layers": "indices of the adapted decoder layers",
    "pairs": "pairs of the memory",
    "target_tokens": "target tokens over all pairs",
    "total_steps": "optimizer steps planned",
    "steps_trained": "optimizer steps taken",
    "stop_reason": "completed: all steps taken | recalled: stop.when_recalled, or method.all_recalled=stop",
    "seconds": "training time of the cell, evaluations included, decoding not; cells of a pack share it",
    "worker_seconds": "the cell's share of that time: each moment divided among the cells training at it",
    "step_flops": "floating-point operations of one optimizer step of the cell and its part of the evaluations, by "
    "formula (memlaw.planning.cost)",
    "tokens_per_second": "scored tokens trained per second of that time",
    "pack_size": "cells that started together",
    "prefix_cached": "what of the frozen prefix was kept, not run in every step: inside | input | none",
    "device": "device that trained the cell",
    "dtype": "dtype of the base model",
    "data_fingerprint": "hash of the memory's token ids",
    "prompt_date": "date given to chat templates that write today's date",
    "model_fingerprint": "hash of a sample of the base model's weights",
    "model_commit": "commit of the Hugging Face Hub that the base model came from; null: none",
    "version.*": "versions of what the numbers may depend on",
}
"""Columns of `result.json` beside the cell's config, whose keys stand there dotted (`lora.rank`)."""


class Evaluated(NamedTuple):
    """An evaluation of a cell. S target tokens, pairs in order.

    Attributes:
        step: optimizer steps before it.
        nll_S, argmax_S, argmax_nll_S, weight_S: as in `TOKEN_COLUMNS`.
    """

    step: int
    nll_S: np.ndarray
    argmax_S: np.ndarray
    argmax_nll_S: np.ndarray
    weight_S: np.ndarray


@dataclass
class TokenLog:
    """Collects the evaluations of a cell. S target tokens, pairs in order.

    Attributes:
        pair_S, position_S, token_id_S: each target token and its place, as in `TOKEN_COLUMNS`.
        evaluations: evaluations in the order of their steps.
    """

    pair_S: np.ndarray
    position_S: np.ndarray
    token_id_S: np.ndarray
    evaluations: list[Evaluated] = field(default_factory=list)

    def add(self, evaluated: Evaluated) -> None:
        """Add an evaluation. The first evaluation must be the base model's, at step 0."""
        assert self.evaluations or evaluated.step == 0
        self.evaluations.append(evaluated)

    @property
    def base_nll_S(self) -> np.ndarray:
        """Return the loss of each target token under the base model, in nats."""
        return self.evaluations[0].nll_S

    def table(self) -> pd.DataFrame:
        """Return the evaluations as a long table with the columns of `TOKEN_COLUMNS`."""
        frames = [
            pd.DataFrame(
                {
                    "step": evaluated.step,
                    "pair": self.pair_S,
                    "position": self.position_S,
                    "token_id": self.token_id_S,
                    "base_nll": self.base_nll_S,
                    "nll": evaluated.nll_S,
                    "argmax_id": evaluated.argmax_S,
                    "argmax_nll": evaluated.argmax_nll_S,
                    "weight": evaluated.weight_S,
                }
            )
            for evaluated in self.evaluations
        ]
        dtypes = {name: dtype for name, (dtype, _) in TOKEN_COLUMNS.items()}
        return pd.concat(frames, ignore_index=True).astype(dtypes)

    def scalars(self) -> dict[str, float | int | None]:
        """Return `token_scalars`, `active_share` and `spent_share` of the latest evaluation."""
        _, nll_S, argmax_S, _, weight_S = self.evaluations[-1]
        total, recalled_S = float(weight_S.sum()), nll_S < CRITICAL_LOSS_NATS
        return {
            **token_scalars(self.base_nll_S, nll_S, argmax_S == self.token_id_S),
            "active_share": float(weight_S.mean()),
            "spent_share": float(weight_S[recalled_S].sum()) / total if total else 0.0,
        }


def token_scalars(
    base_nll_S: np.ndarray, nll_S: np.ndarray, argmax_right_S: np.ndarray
) -> dict[str, float | int | None]:
    """Summarize an evaluation of a cell, from per-token losses in nats (paper, section 3).

    Returns:
        base_loss_nats, loss_nats, delta_loss_nats, recalled_share, min_p, first_stubborn, first_wrong and
        teacher_forced_accuracy, as in `RESULT_COLUMNS`.
    """
    nll_S = nll_S.astype(np.float64)
    base_loss, loss = float(base_nll_S.astype(np.float64).mean()), float(nll_S.mean())
    stubborn_S = nll_S >= CRITICAL_LOSS_NATS
    return {
        "base_loss_nats": base_loss,
        "loss_nats": loss,
        "delta_loss_nats": base_loss - loss,
        "recalled_share": float(1 - stubborn_S.mean()),
        "min_p": float(np.exp(-nll_S.max())),
        "first_stubborn": int(stubborn_S.argmax()) if stubborn_S.any() else None,
        "first_wrong": int(argmax_right_S.argmin()) if not argmax_right_S.all() else None,
        "teacher_forced_accuracy": float(argmax_right_S.mean()),
    }


def capacity(
    delta_loss_nats: float, target_tokens: int, trainable_parameters: int, effective_parameters: int
) -> dict[str, float | None]:
    """Compute the memorized bits ℓ·ΔL/ln 2, and the bits per trainable and per effective parameter."""
    bits = target_tokens * delta_loss_nats / math.log(2)
    return {
        "memorized_bits": bits,
        "bits_per_parameter": bits / trainable_parameters,
        "bits_per_effective_parameter": bits / effective_parameters if effective_parameters else None,
    }


def write_tokens(path: Path, table: pd.DataFrame) -> None:
    """Write a table with the columns of `TOKEN_COLUMNS`, atomically."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def read_tokens(path: AnyPath) -> pd.DataFrame:
    """Read `tokens.parquet`, and add a column p = exp(-nll)."""
    table = pd.read_parquet(io.BytesIO(path.read_bytes()))
    return table.assign(p=np.exp(-table["nll"]))


def write_texts(path: Path, table: pd.DataFrame, decode: Callable[[int], str]) -> None:
    """Write the texts of the tokens that the last evaluation names, atomically: token id → text.

    Args:
        path: the file.
        table: with the columns of `TOKEN_COLUMNS`.
        decode: turns a token id into text.
    """
    last = table[table["step"] == table["step"].max()]
    ids = sorted({*last["token_id"].tolist(), *last["argmax_id"].tolist()})
    write_json(path, {str(token_id): decode(token_id) for token_id in ids})


def read_texts(path: AnyPath) -> dict[int, str]:
    """Read the texts of a cell's tokens.

    Raises:
        OSError, ValueError, RecursionError: see `memlaw.core.json_file.read_object`; ValueError also for a key that
            is no id.
    """
    return {int(token_id): str(shown) for token_id, shown in read_object(path).items()}


def write_result(path: Path, row: dict[str, Any]) -> None:
    """Write the flat row of a cell, atomically. Raises ValueError for a number that is not finite."""
    write_json(path, row)


def read_results(study: AnyPath) -> pd.DataFrame:
    """Read a row per done cell of a study, ordered by model, data, method, length, rank and seed."""
    rows = [
        read_result(directory)
        for directory in cell_directories(study)
        if read_status(directory / "status.json").state == DONE
    ]
    return sort_results(pd.DataFrame(rows)) if rows else pd.DataFrame()


def sort_results(table: pd.DataFrame) -> pd.DataFrame:
    """Order rows of cells by model, data, method, length, rank and seed."""
    order = ["model.name", "data.name", "method.name", "seq_len", "lora.rank", "seed"]
    return table.sort_values(order, ignore_index=True)


def stubborn_tokens(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the `count` least probable tokens of the last evaluation in a table of `TOKEN_COLUMNS`."""
    last = table[table["step"] == table["step"].max()]
    return last.nlargest(count, "nll").assign(p=lambda rows: np.exp(-rows["nll"]))


def log_spaced_steps(total: int, per_decade: int) -> Sequence[int]:
    """Return ascending, distinct evaluation steps: 0, about `per_decade` per factor of ten, and `total`."""
    count = math.ceil(per_decade * math.log10(max(total, 1))) + 1
    spaced = np.rint(np.logspace(0, math.log10(max(total, 1)), count)).astype(int)
    return sorted({0, *spaced.tolist(), total})
