"""How many pairs of a cell a step trains on, and how many steps it trains."""

from dataclasses import dataclass
from typing import Any

from memlaw.core.errors import ConfigError
from memlaw.methods.curriculum import Curriculum


@dataclass(frozen=True, order=True)
class Schedule:
    """Shape of a cell's training; cells with equal schedules can train in one loop.

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
        ConfigError: training ends before the curriculum has let all pairs take part for an epoch.
    """
    batch_rows = min(config.batch_size, pairs)

    def steps_of(epochs: int) -> int:
        taking_part = (curriculum.pairs_in(epoch, pairs, batch_rows) for epoch in range(epochs))
        return sum(steps_per_epoch(count, batch_rows) for count in taking_part)

    total = config.steps or steps_of(config.epochs)
    needed = steps_of(curriculum.last_until + 1)
    if curriculum.shares and total < needed:
        given = f"steps={config.steps}" if config.steps else f"epochs={config.epochs}"
        raise ConfigError(
            f"{given} ends before method.curriculum has let all {pairs} pairs take part: that takes {needed} steps, "
            f"or epochs={curriculum.last_until + 1}; give more, or smaller method.curriculum.until_epochs"
        )
    return Schedule(batch_rows, total)
