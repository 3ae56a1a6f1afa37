"""The schedule of a cell: the pairs of a step, and the number of steps."""

from dataclasses import dataclass
from typing import Any

from memlaw.core.errors import ConfigError
from memlaw.methods.curriculum import Curriculum


@dataclass(frozen=True, order=True)
class Schedule:
    """The shape of a cell's training. Cells with equal schedules can train in one loop.

    Attributes:
        batch_rows: pairs of the cell in one step.
        total_steps: optimizer steps.
    """

    batch_rows: int
    total_steps: int


def steps_per_epoch(pairs: int, batch_rows: int) -> int:
    """Count the batches that visit every pair once; the last may be partial."""
    return -(-pairs // batch_rows)


def schedule_of(config: Any, pairs: int, curriculum: Curriculum) -> Schedule:
    """Derive the schedule of a cell from its config and the number of pairs in its memory.

    Raises:
        ConfigError: training ends before all pairs have taken part for an epoch.
    """
    batch_rows = min(config.batch_size, pairs)

    def steps_of(epochs: int) -> int:
        taking_part = (curriculum.pairs_in(epoch, pairs, batch_rows) for epoch in range(epochs))
        return sum(steps_per_epoch(count, batch_rows) for count in taking_part)

    total = config.steps or steps_of(config.epochs)
    needed = steps_of(curriculum.last_until + 1)
    if curriculum.shares and total < needed:
        setting = f"steps={config.steps}" if config.steps else f"epochs={config.epochs}"
        raise ConfigError(
            f"{setting} ends before all {pairs} pairs take part by method.curriculum: that takes {needed} steps, "
            f"or epochs={curriculum.last_until + 1}; set more, or smaller method.curriculum.until_epochs"
        )
    return Schedule(batch_rows, total)
