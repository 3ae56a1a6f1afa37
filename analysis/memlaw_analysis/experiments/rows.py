"""The kept rows of an experiment: read them, and average their seeds."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from memlaw_analysis.tables.studies import NoCells, load_studies

EFFECTIVE = "effective_parameters"
"""Column of the parameters that can matter. Rows of cells that were trained before it was measured lack it."""

ENTROPY = "source_entropy_nats"
"""Column of the entropy of the targets' source. Rows of cells that were trained before it was recorded lack it."""

ORIGINS = {"source": "beyond its source, ℓ·(H − L)", "base": "below the base model, ℓ·ΔL"}
"""Where stored information is counted from.

The base model's loss on random tokens, L0, is above their entropy H. The difference can be won by learning that the
tokens are uniform, without one of them. So what lies beyond H is stored of the text itself. Of the rest, one cannot
tell.
"""

_AVERAGED = ("delta_loss_nats", "base_loss_nats", ENTROPY, "trainable_parameters", EFFECTIVE)


def load_rows(file: Path) -> pd.DataFrame:
    """Read the rows of an experiment; `EFFECTIVE` and `ENTROPY` are NaN where they are not known.

    Raises:
        NoCells: the file cannot be read, has no row, or has rows of several base models.
    """
    rows = load_studies([file])
    models = sorted(rows["model.name"].unique())
    if len(models) > 1:
        raise NoCells(f"{file} holds rows of several models, {', '.join(models)}; keep a file for each")
    return with_later_columns(rows)


def with_later_columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the columns `EFFECTIVE` and `ENTROPY` as positive numbers, NaN where they are not known."""
    unknown = pd.Series(float("nan"), index=rows.index)
    columns = {name: pd.to_numeric(rows.get(name, unknown)) for name in (EFFECTIVE, ENTROPY)}
    return rows.assign(**{name: values.where(values > 0) for name, values in columns.items()})


def from_source(rows: pd.DataFrame) -> pd.DataFrame:
    """Count what is stored from the entropy H of the targets' source in place of the base model's loss L0.

    ΔL becomes H − L, L0 becomes H, and the memorized bits go with them. They are NaN where H is not known.
    """
    delta = rows["delta_loss_nats"] - (rows["base_loss_nats"] - rows[ENTROPY])
    bits = rows["target_tokens"] * delta / math.log(2)
    return rows.assign(
        delta_loss_nats=delta,
        base_loss_nats=rows[ENTROPY],
        memorized_bits=bits,
        bits_per_parameter=bits / rows["trainable_parameters"],
    )


def counted(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return rows counted from the source where all know H, else as they are; and from where, a key of `ORIGINS`."""
    known = rows[ENTROPY].notna().all()
    return (from_source(rows), "source") if known else (rows, "base")


def over_seeds(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Average ΔL, L0, H and the numbers of parameters over cells that agree in `by`; `seeds` counts them."""
    groups = rows.groupby(list(by))
    return groups[list(_AVERAGED)].mean().assign(seeds=groups.size()).reset_index()


def listed(value: str | Sequence[object]) -> list[object]:
    """Return a list of a row, which is written as JSON."""
    return list(json.loads(value) if isinstance(value, str) else value)
