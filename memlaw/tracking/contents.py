"""The content of a cell's run, the same at every service."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from memlaw.study.cell import Cell
from memlaw.study.records import RESULT_COLUMNS, stubborn_tokens
from memlaw.tracking.names import shortened
from memlaw.tracking.service import Run

CURVES = (
    "base_loss_nats",
    "loss_nats",
    "delta_loss_nats",
    "recalled_share",
    "min_p",
    "first_stubborn",
    "first_wrong",
    "teacher_forced_accuracy",
    "active_share",
    "spent_share",
    "learning_rate",
    "tokens_per_second",
)
"""Scalars of every recorded evaluation, over `step`; a run's summary holds the last value of each, null or not."""

HISTOGRAM, TABLE, STRIP = "p", "stubborn_tokens", "probability_strip"
STUBBORN_ROWS = 200
STRIP_WIDTH, STRIP_HEIGHT = 1200, 320
"""Most columns of the strip, and about its height; pixels."""

CELL, ANALYSIS = "cell", "analysis"
"""Values of the config key `kind` and of the job type of a run."""

Decode = Callable[[int], str]


class Histogram(NamedTuple):
    """Counts between edges, one edge more than counts."""

    counts: np.ndarray
    edges: np.ndarray


class Rows(NamedTuple):
    """A table to browse."""

    columns: list[str]
    rows: list[list[Any]]


class Picture(NamedTuple):
    """Pixels, uint8, (height, width, 3)."""

    pixels: np.ndarray
    caption: str


def study_digest(study: Path) -> str:
    """Return six hexadecimal digits of a study's name, so that studies can share a project."""
    return hashlib.sha256(study.name.encode()).hexdigest()[:6]


def run_id(cell: Cell) -> str:
    """Return the id of a cell's run: the study's digest, then the cell's hash."""
    return f"{study_digest(cell.study)}-{cell.hash}"


def run_config(cell: Cell) -> dict[str, Any]:
    """Return a run's config: keys to sort and group by at top level, the full scientific config under `config`."""
    c = cell.config
    return {
        "kind": CELL,
        "study": cell.study.name,
        "cell": cell.name,
        "model": c.model.name,
        "data": c.data.name,
        "method": c.method.name,
        "rank": c.lora.rank,
        "seq_len": c.seq_len,
        "seed": c.seed,
        "config": without_targets(OmegaConf.to_container(c, resolve=True)),
    }


def without_targets(value: Any) -> Any:
    """Copy a nested config without `_target_`, which names code."""
    if isinstance(value, dict):
        return {name: without_targets(item) for name, item in value.items() if name != "_target_"}
    return value


def run_tags(cell: Cell) -> list[str]:
    """Return tags to find a run by; W&B allows 64 characters in each."""
    c = cell.config
    tags = (c.model.name, c.data.name, c.method.name, f"rank {c.lora.rank}", f"seq_len {c.seq_len}")
    return [shortened(str(tag), 64) for tag in tags]


def run_summary(result: dict[str, Any]) -> dict[str, Any]:
    """Pick the measured columns of `result.json`, nulls included; versions are nested."""
    versions = {name.removeprefix("version."): value for name, value in result.items() if name.startswith("version.")}
    measured = {name: value for name, value in result.items() if name in RESULT_COLUMNS and name != "cell"}
    return {**measured, "version": versions}


def without_nulls(values: dict[str, Any]) -> dict[str, Any]:
    """Pick the values that are not null."""
    return {name: value for name, value in values.items() if value is not None}


def evaluation_values(scalars: dict[str, Any], nll_S: np.ndarray) -> dict[str, Any]:
    """Return what a run logs of an evaluation: scalars, and the histogram of p from losses of the S target tokens."""
    return {**scalars, HISTOGRAM: histogram(np.exp(-nll_S))}


def log_end(run: Run, cell: Cell, result: dict[str, Any], tokens: pd.DataFrame, decode: Decode) -> None:
    """Log the end of a done cell from its records on disk: media, artifacts and summary.

    Args:
        run: the cell's run.
        cell: the cell.
        result: the row of its `result.json`.
        tokens: its token table.
        decode: turns a token id into text.
    """
    paths, last = cell.paths, result["steps_trained"]
    media = {TABLE: stubborn_rows(tokens, decode), STRIP: probability_strip(tokens)}
    run.log(last + 1, {"step": last, **media})  # in a row after the last step's, which is logged already
    run.log_artifact("records", "records", [paths.tokens, paths.result, paths.recall, paths.config])
    run.log_artifact("adapter", "adapter", [paths.adapter])
    run.finish(run_summary(result))


def histogram(p_S: np.ndarray) -> Histogram:
    """Count target tokens by probability, in 50 bins on [0, 1]."""
    return Histogram(*np.histogram(p_S, bins=50, range=(0, 1)))


def stubborn_rows(tokens: pd.DataFrame, decode: Decode) -> Rows:
    """List the least probable target tokens at the end, at most `STUBBORN_ROWS`.

    Args:
        tokens: with the columns of `memlaw.study.records.TOKEN_COLUMNS`.
        decode: turns a token id into text.
    """
    rows = [
        [
            row.pair,
            row.position,
            decode(row.token_id),
            row.p,
            decode(row.argmax_id),
            float(np.exp(-row.argmax_nll)),
            row.base_nll,
        ]
        for row in stubborn_tokens(tokens, STUBBORN_ROWS).itertuples()
    ]
    return Rows(["pair", "position", "token", "p", "argmax", "argmax_p", "base_nll"], rows)


def probability_strip(tokens: pd.DataFrame) -> Picture:
    """Draw each target token's probability (left to right, pairs in order) at each evaluation (first on top).

    Red is below p = 0.5, blue above. With more tokens than `STRIP_WIDTH`, a column shows the least probable of its
    tokens, so that no stubborn token disappears.
    """
    from matplotlib import colormaps

    steps = tokens["step"].unique()
    p_ES = np.exp(-tokens["nll"].to_numpy()).reshape(len(steps), -1)
    starts = np.unique(np.linspace(0, p_ES.shape[1], min(STRIP_WIDTH, p_ES.shape[1]), endpoint=False).astype(int))
    least = np.minimum.reduceat(p_ES, starts, axis=1)
    colours = (colormaps["RdBu"](least)[..., :3] * 255).astype(np.uint8)
    larger = colours.repeat(max(1, STRIP_HEIGHT // len(steps)), axis=0).repeat(
        max(1, STRIP_WIDTH // len(starts)), axis=1
    )
    return Picture(larger, f"steps {steps[0]} to {steps[-1]} downwards; red: p < 0.5, blue: p > 0.5")


def rendered(library: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Turn histograms, tables and pictures into types of a library, `wandb` or `trackio`; leave out nulls."""
    return {name: _rendered(library, value) for name, value in without_nulls(values).items()}


def _rendered(library: Any, value: Any) -> Any:
    match value:
        case Histogram():
            return library.Histogram(np_histogram=tuple(value))
        case Rows():
            return library.Table(columns=value.columns, data=value.rows)
        case Picture():
            return library.Image(value.pixels, caption=value.caption)
    return value
