"""The steps at which a pack is evaluated.

Training waits for the device at evaluations only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memlaw.methods.schedule import steps_per_epoch
from memlaw.study.records import log_spaced_steps
from memlaw.training.live_cell import LiveCell


@dataclass(frozen=True)
class Timetable:
    """The numbers of optimizer steps after which all cells of a pack are evaluated.

    Attributes:
        recorded: steps of evaluations that go into the records: log-spaced, and the last.
        checked: steps at which fully recalled cells may end.
        total_steps: the last step.
        batch_rows: rows of a cell in one forward.
        step_evaluates: whether each step sees all pairs of all cells, and without dropout. Then the forward of step
            s + 1 is the evaluation after s steps and costs nothing.
    """

    recorded: frozenset[int]
    checked: frozenset[int]
    total_steps: int
    batch_rows: int
    step_evaluates: bool

    @classmethod
    def of(cls, cells: Sequence[LiveCell], stop: Any, per_decade: int) -> "Timetable":
        """Make the timetable of cells of equal schedules.

        Args:
            cells: the cells.
            stop: `stop` of the config; a table is checked at most once an epoch.
            per_decade: `eval.per_decade`.
        """
        schedule = cells[0].schedule
        epoch_steps = max(steps_per_epoch(len(live.memory.pairs), schedule.batch_rows) for live in cells)
        may_end = stop.when_recalled or any(live.method.all_recalled == "stop" for live in cells)
        every = max(stop.every, epoch_steps)
        return cls(
            recorded=frozenset(log_spaced_steps(schedule.total_steps, per_decade)),
            checked=frozenset(range(0, schedule.total_steps, every) if may_end else ()),
            total_steps=schedule.total_steps,
            batch_rows=schedule.batch_rows,
            step_evaluates=epoch_steps == 1 and not cells[0].spec.dropout,
        )

    def __contains__(self, step: int) -> bool:
        return step in self.recorded or step in self.checked
