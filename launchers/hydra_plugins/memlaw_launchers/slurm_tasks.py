"""Array tasks: packs grouped into tasks, tasks into arrays, and the files that jobs read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from memlaw.errors import ConfigError, one_line
from memlaw.files import write_json

T = TypeVar("T")

TASK_SECONDS = 600.0
"""What a task is worth starting for: some twenty times what a process and its base model cost."""
GUESSED = 0.1
"""Without a finished cell the predicted times are lower bounds; tasks are made that much shorter."""

CROWD = 8
"""So many tasks may begin at one moment."""
STARTS_PER_S = 4.0
LONGEST_START_S = 30.0


@dataclass(frozen=True)
class Task:
    """What one array task trains, as JSON in a file.

    Attributes:
        study: directory of the study.
        packs: names of the cells of each pack.
        settings: the operational config that `memlaw.pack.train_pack` reads.
        start_within_s: the task waits a random time of at most this before it trains.
    """

    study: str
    packs: list[list[str]]
    settings: dict[str, Any]
    start_within_s: float = 0.0

    def write(self, path: Path) -> None:
        """Write the task to a file."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Task":
        """Read a task back. Raises ConfigError where the file does not hold one."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise ConfigError(f"{path} is no task ({one_line(error)}); cancel its job and move it away") from error


def seconds_per_task(timeout_min: int, measured: bool) -> float:
    """What `packs_per_task=auto` fills a task with: `TASK_SECONDS`, at most a quarter of the job's time.

    Args:
        timeout_min: the job's time limit.
        measured: whether the predicted times rest on finished cells.
    """
    return min(TASK_SECONDS, 15.0 * timeout_min) * (1 if measured else GUESSED)


def start_within_s(at_a_time: int) -> float:
    """The time over which tasks that could all begin at one moment spread, for the sake of W&B, Hub and file server."""
    return min(LONGEST_START_S, at_a_time / STARTS_PER_S) if at_a_time > CROWD else 0.0


def by_number(packs: Sequence[T], packs_per_task: int) -> list[list[T]]:
    """Packs to tasks of `packs_per_task` each, in order."""
    return [list(packs[start : start + packs_per_task]) for start in range(0, len(packs), packs_per_task)]


def by_seconds(packs: Sequence[T], seconds: Sequence[float], wanted_seconds: float) -> list[list[T]]:
    """Packs to tasks, in order: a task takes packs until `wanted_seconds` are reached.

    Args:
        packs: the packs.
        seconds: predicted time of each.
        wanted_seconds: of a task.
    """
    tasks: list[list[T]] = []
    filled = 0.0
    for pack, own in zip(packs, seconds, strict=True):
        if not tasks or filled + own > wanted_seconds:
            tasks.append([])
            filled = 0.0
        tasks[-1].append(pack)
        filled += own
    return tasks


def split_arrays(tasks: Sequence[T], max_array_size: int) -> list[list[T]]:
    """Tasks to arrays of nearly equal length, whose last index is below `max_array_size`."""
    limit = max(1, max_array_size)
    arrays = -(-len(tasks) // limit)
    length = -(-len(tasks) // arrays)
    return [list(tasks[start : start + length]) for start in range(0, len(tasks), length)]
