"""Tables and numbers as Markdown."""

import math
from typing import Any

import pandas as pd

SHARES = {"ΔL/L0", "of the text", "MAPE", "held-out error", "reached"}
"""Columns that are shown in percent."""

UNKNOWN = "–"


def number(value: Any) -> str:
    """Show a number with three digits, or all before the point; anything else as text."""
    if not isinstance(value, float):
        return UNKNOWN if value is None else str(value)
    if not math.isfinite(value):
        return UNKNOWN
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: pd.DataFrame) -> str:
    """Show a table; a column without any known value is left out."""
    shown = rows.dropna(axis=1, how="all")
    lines = [list(shown.columns), ["---"] * len(shown.columns)]
    lines += [
        [_cell(name, value) for name, value in zip(shown.columns, row, strict=True)]
        for row in shown.itertuples(index=False)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        if name in SHARES:
            return f"{value:.1%}"
        if name == "R²":
            return f"{value:.4f}"
    return number(value).replace("|", "\\|")
