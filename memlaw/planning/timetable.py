"""The steps at which a pack is evaluated.

Training waits for the device at evaluations only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from memlaw.methods.memft import Method
from memlaw.methods.schedule import Schedule, steps_per_epoch
from memlaw.study.records import log_spaced_steps


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
    def of(cls, schedule: Schedule, config: Any, *, pairs: int, methods: Iterable[Method]) -> "Timetable":
        """Make the timetable of cells that train together. A table is checked at most once an epoch.

        Args:
            schedule: of the cells.
            config: of any of the cells; they agree in `stop`, `eval` and `lora.dropout`.
            pairs: of the cell with most.
            methods: of the cells.
        """
        epoch_steps = steps_per_epoch(pairs, schedule.batch_rows)
        may_end = config.stop.when_recalled or any(method.all_recalled == "stop" for method in methods)
        every = max(config.stop.every, epoch_steps)
        return cls(
            recorded=frozenset(log_spaced_steps(schedule.total_steps, config.eval.per_decade)),
            checked=frozenset(range(0, schedule.total_steps, every) if may_end else ()),
            total_steps=schedule.total_steps,
            batch_rows=schedule.batch_rows,
            step_evaluates=epoch_steps == 1 and not config.lora.dropout,
        )

    @property
    def forwards_per_step(self) -> float:
        """Return the number of forwards over all pairs that evaluations before steps take, per step."""
        before_steps = (self.recorded | self.checked) - {self.total_steps}
        return 0.0 if self.step_evaluates else len(before_steps) / self.total_steps

    def __contains__(self, step: int) -> bool:
        return step in self.recorded or step in self.checked
