"""What a cell's run holds, whichever service keeps it."""

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
"""The config key `kind` and the job type of a run: what it is of."""

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
    """Six hexadecimal digits of a study's name: with them, studies can share a project."""
    return hashlib.sha256(study.name.encode()).hexdigest()[:6]


def run_id(cell: Cell) -> str:
    """Id of a cell's run: its hash after its study's digest."""
    return f"{study_digest(cell.study)}-{cell.hash}"


def run_config(cell: Cell) -> dict[str, Any]:
    """What a study is sorted and grouped by at the top, and the whole scientific config under `config`."""
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
    """A nested config without `_target_`, which says where code lies."""
    if isinstance(value, dict):
        return {name: without_targets(item) for name, item in value.items() if name != "_target_"}
    return value


def run_tags(cell: Cell) -> list[str]:
    """What a run is found by; W&B takes no tag of more than 64 characters."""
    c = cell.config
    tags = (c.model.name, c.data.name, c.method.name, f"rank {c.lora.rank}", f"seq_len {c.seq_len}")
    return [shortened(str(tag), 64) for tag in tags]


def run_summary(result: dict[str, Any]) -> dict[str, Any]:
    """The measured columns of `result.json`, null where they are null there; versions nested."""
    versions = {name.removeprefix("version."): value for name, value in result.items() if name.startswith("version.")}
    measured = {name: value for name, value in result.items() if name in RESULT_COLUMNS and name != "cell"}
    return {**measured, "version": versions}


def known(values: dict[str, Any]) -> dict[str, Any]:
    """Those that are not null."""
    return {name: value for name, value in values.items() if value is not None}


def histogram(p_S: np.ndarray) -> Histogram:
    """How many target tokens have which probability, 50 bins on [0, 1]."""
    return Histogram(*np.histogram(p_S, bins=50, range=(0, 1)))


def stubborn_rows(tokens: pd.DataFrame, decode: Decode) -> Rows:
    """The least probable target tokens at the end, at most `STUBBORN_ROWS`.

    Args:
        tokens: with the columns of `memlaw.study.records.TOKEN_COLUMNS`.
        decode: a token id's text.
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
    """Each target token's probability (left to right, pairs in order) at each evaluation (first on top).

    Red below p = 0.5, blue above. Where the tokens are more than `STRIP_WIDTH`, a column shows the least probable of
    its tokens, so that no stubborn one disappears.
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
    """Known values, with histograms, tables and pictures in a library's own types: those of W&B or Trackio."""
    return {name: _rendered(library, value) for name, value in known(values).items()}


def _rendered(library: Any, value: Any) -> Any:
    match value:
        case Histogram():
            return library.Histogram(np_histogram=tuple(value))
        case Rows():
            return library.Table(columns=value.columns, data=value.rows)
        case Picture():
            return library.Image(value.pixels, caption=value.caption)
    return value
