"""What would run: cells and packs with the RAM and time that they will take."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memlaw.planning.cost import CostModel, step_flops
from memlaw.planning.sizes import Sizes
from memlaw.study.cell import Cell


@dataclass(frozen=True)
class PlannedCell:
    """A cell that is to be trained.

    Attributes:
        cell: the cell.
        sizes: what its RAM and work depend on.
        total_steps: optimizer steps, no early stop assumed.
        base_bytes: RAM of the base model's weights.
    """

    cell: Cell
    sizes: Sizes
    total_steps: int
    base_bytes: int

    @property
    def forecast(self) -> dict[str, Any]:
        """The fields of its status that are set before it trains, as `memlaw.study.status.FORECAST` names them."""
        return {"total_steps": self.total_steps, "step_flops": step_flops(self.sizes)}

    def seconds(self, cost: CostModel, pack_size: int) -> float:
        """Estimate its share of a worker's time in a pack of this size, no early stop assumed."""
        return cost.cell_seconds(step_flops(self.sizes), pack_size, self.total_steps)


@dataclass(frozen=True)
class Pack:
    """Cells to train together.

    Attributes:
        members: the cells with what each will take.
        bytes: estimated peak of RAM, the base model included.
    """

    members: Sequence[PlannedCell]
    bytes: int

    @property
    def cells(self) -> list[Cell]:
        """The cells alone."""
        return [member.cell for member in self.members]

    def cell_seconds(self, cost: CostModel) -> list[float]:
        """Estimate each cell's share of its worker's time, no early stop assumed."""
        return [member.seconds(cost, len(self.members)) for member in self.members]


@dataclass(frozen=True)
class Plan:
    """Packs in the order in which they run, and what their times rest on."""

    packs: list[Pack]
    cost: CostModel
