"""Which cells are saturated: so close to L0 that they carry no information on C, α and β.

ΔL cannot exceed L0, so a fit of the law must leave saturated cells out. Its exponents depend on the threshold; so the
rule is part of every result.
"""

from dataclasses import dataclass

import pandas as pd

DESCRIPTIONS = {
    "delta_loss": "ΔL ≥ {at:g}·L0",
    "recalled": "share of recalled tokens ≥ {at:g}",
    "none": "none left out",
}
"""Kind of rule → how it reads."""


@dataclass(frozen=True)
class Rule:
    """Which cells count as saturated.

    Attributes:
        kind: a key of `DESCRIPTIONS`.
        at: the threshold, a share.
    """

    kind: str
    at: float = 1.0

    def excludes(self, table: pd.DataFrame) -> pd.Series:
        """Return whether each cell is left out. Columns: `delta_loss_nats`, `base_loss_nats`, or `recalled_share`."""
        if self.kind == "delta_loss":
            return table["delta_loss_nats"] >= self.at * table["base_loss_nats"]
        if self.kind == "recalled":
            return table["recalled_share"] >= self.at
        return pd.Series(False, index=table.index)

    def __str__(self) -> str:
        return DESCRIPTIONS[self.kind].format(at=self.at)


DEFAULT = Rule("delta_loss", 0.85)
NONE = Rule("none")
