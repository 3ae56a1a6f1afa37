"""A cell that is to be trained, with what it will take."""

from dataclasses import dataclass

from memlaw.cell import Cell
from memlaw.cost import CostModel, step_flops
from memlaw.sizes import Sizes


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
    def forecast(self) -> dict[str, float]:
        """The fields `memlaw.status_file.FORECAST` of its status."""
        return {"total_steps": self.total_steps, "step_flops": step_flops(self.sizes)}

    def seconds(self, cost: CostModel, pack_size: int) -> float:
        """Estimate its share of a worker's time in a pack of this size, no early stop assumed."""
        return cost.cell_seconds(step_flops(self.sizes), pack_size, self.total_steps)
