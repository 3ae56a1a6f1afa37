"""A plan: cells and packs to train, with the RAM and time that they will take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memlaw.planning.cost import CostModel, step_flops
from memlaw.planning.sizes import Sizes
from memlaw.study.cell import Cell


@dataclass(frozen=True)
class PlannedCell:
    """A cell to train.

    Attributes:
        cell: the cell.
        sizes: sizes on which its RAM and work depend.
        total_steps: optimizer steps, without early stops.
        base_bytes: RAM of the base model's weights.
    """

    cell: Cell
    sizes: Sizes
    total_steps: int
    base_bytes: int

    @property
    def forecast(self) -> dict[str, Any]:
        """Return the fields `memlaw.study.status.FORECAST` of its status."""
        return {"total_steps": self.total_steps, "step_flops": step_flops(self.sizes)}

    def seconds(self, cost: CostModel, pack_size: int) -> float:
        """Estimate its share of a worker's time in a pack of this size, without early stops."""
        return cost.cell_seconds(step_flops(self.sizes), pack_size, self.total_steps)


@dataclass(frozen=True)
class Pack:
    """Cells to train together.

    Attributes:
        members: the planned cells.
        bytes: estimated peak RAM, including the base model.
    """

    members: Sequence[PlannedCell]
    bytes: int

    @property
    def cells(self) -> list[Cell]:
        """Return the cells without their plans."""
        return [member.cell for member in self.members]

    def cell_seconds(self, cost: CostModel) -> list[float]:
        """Estimate each cell's share of its worker's time, without early stops."""
        return [member.seconds(cost, len(self.members)) for member in self.members]


@dataclass(frozen=True)
class Plan:
    """Packs in the order in which they run, and the cost model that predicts their times."""

    packs: list[Pack]
    cost: CostModel
