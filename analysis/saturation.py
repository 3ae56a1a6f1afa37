"""Which cells are saturated: so close to L0 that they carry no information on C, α and β.

ΔL cannot exceed L0. A fit of the law must leave saturated cells out, and its exponents depend on where the line
is drawn; so the rule is part of every result.
"""

from dataclasses import dataclass

import pandas as pd

RULES = {
    "delta_loss": "ΔL ≥ {at:g}·L0",
    "recalled": "share of recalled tokens ≥ {at:g}",
    "none": "none left out",
}
"""Kinds of rule, and how they read."""


@dataclass(frozen=True)
class Rule:
    """Which cells count as saturated.

    Attributes:
        kind: a key of `RULES`.
        at: the threshold, a share.
    """

    kind: str
    at: float = 1.0

    def excludes(self, table: pd.DataFrame) -> pd.Series:
        """Whether each cell is left out. Columns: `delta_loss_nats`, `base_loss_nats`, or `recalled_share`."""
        if self.kind == "delta_loss":
            return table["delta_loss_nats"] >= self.at * table["base_loss_nats"]
        if self.kind == "recalled":
            return table["recalled_share"] >= self.at
        return pd.Series(False, index=table.index)

    def __str__(self) -> str:
        return RULES[self.kind].format(at=self.at)


DEFAULT = Rule("delta_loss", 0.85)
NONE = Rule("none")
