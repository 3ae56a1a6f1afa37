"""Ways to count an adapter's parameters: all that are trained, and those that can matter."""

import pandas as pd

from memlaw_analysis.experiments.rows import EFFECTIVE

COUNTS = {"trainable_parameters": "parameter", EFFECTIVE: "effective parameter"}
"""Column of a number of parameters → what it counts."""


def counted(rows: pd.DataFrame, count: str) -> pd.DataFrame:
    """Return the rows that have a number of parameters of a kind, with it as the number of trainable parameters."""
    kept = rows[rows[count] > 0]
    return kept.assign(trainable_parameters=kept[count])
