"""Settings of the optimizer compared at equal steps, over pairs of cells that differ in nothing else."""

from dataclasses import dataclass

import pandas as pd

from memlaw_analysis.experiments.estimate import Estimate, ratio_of
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.saturation import DEFAULT

PAIR = ["lora.rank", "target_tokens", "seed"]
"""Columns in which compared cells agree, beside their steps."""

DEFAULTS = {"optimizer.lr": 0.02, "optimizer.betas": "[0.9, 0.999]"}
"""The setting that others are compared with, where the study has it: memlaw's defaults."""


@dataclass(frozen=True)
class Compared:
    """A setting beside the reference, at one number of steps.

    Attributes:
        setting: its name.
        steps: of the cells.
        pairs: cells that both have, unsaturated under the reference.
        ratio: ΔL of the setting over that of the reference; None where the pairs are fewer than two. The intervals of
            all settings at this number of steps hold at once, so also for the best.
    """

    setting: str
    steps: int
    pairs: int
    ratio: Estimate | None


def with_setting(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the column `setting`: the keys of the optimizer that vary among the rows, in words, as `lr=0.02`."""
    keys = sorted(name for name in rows if name.startswith("optimizer.") and rows[name].astype(str).nunique() > 1)
    names = [", ".join(f"{key.split('.')[-1]}={_short(row[key])}" for key in keys) for _, row in rows.iterrows()]
    return rows.assign(setting=names)


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def reference(rows: pd.DataFrame) -> str:
    """Return the setting to compare with: memlaw's defaults where they are among the rows, else the most frequent."""
    default = pd.Series(True, index=rows.index)
    for key, value in DEFAULTS.items():
        default &= rows[key] == value
    return str((rows[default] if default.any() else rows)["setting"].mode()[0])


def compare_settings(rows: pd.DataFrame) -> list[Compared]:
    """Compare each setting with the reference, at each number of steps that both have.

    Pairs that are saturated under the reference are left out, for nothing can be better there.

    Args:
        rows: with the column `setting`.
    """
    base = reference(rows)
    compared = []
    for steps, cells in rows.groupby("steps"):
        wide = cells.pivot_table(index=PAIR, columns="setting", values="delta_loss_nats")
        if base not in wide:
            continue
        full = cells[(cells["setting"] == base) & DEFAULT.excludes(cells)].set_index(PAIR).index
        others = wide.columns.drop(base)
        for setting in others:
            pairs = wide.loc[~wide.index.isin(full), [base, setting]].dropna()
            if len(pairs):
                ratio = _ratio(pairs[setting], pairs[base], len(others))
                compared.append(Compared(str(setting), int(steps), len(pairs), ratio))
    return compared


def _ratio(above: pd.Series, below: pd.Series, at_once: int) -> Estimate | None:
    if (above <= 0).any():  # training diverged: no logarithm, and no ratio that means anything
        return None
    try:
        return ratio_of(above, below, at_once)
    except TooFewCells:
        return None
