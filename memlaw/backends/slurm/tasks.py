"""Group packs into tasks and tasks into job arrays, and write the files that jobs read."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from memlaw.core.errors import ConfigError, one_line
from memlaw.core.files import write_json

T = TypeVar("T")

TASK_SECONDS = 600.0
"""Training time that fills a task. It is about twenty times the start of a process with its base model."""

GUESSED = 0.1
"""Factor on the length of a task while no cell has finished: predicted times are lower bounds then."""

CROWD = 8
"""Number of tasks that may begin at the same moment."""

STARTS_PER_S = 4.0
"""Rate at which more tasks begin."""

LONGEST_START_S = 30.0
"""Longest time over which the starts of tasks are spread."""


@dataclass(frozen=True)
class Task:
    """The packs of an array task, as JSON in a file.

    Attributes:
        study: directory of the study.
        packs: names of the cells of each pack.
        settings: see `memlaw.training.pack.train_pack`.
        start_within_s: longest random time for which the task waits before it trains.
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
        """Read a task from a file. Raises ConfigError where the file does not hold a task."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError) as error:
            raise ConfigError(f"{path} is not a task ({one_line(error)}); cancel its job and move it away") from error


def submitted(study: Path) -> dict[str, Path]:
    """Map the id of each job of a study's submissions to the file of its task.

    Raises:
        ConfigError: a list of jobs cannot be read.
    """
    tasks: dict[str, Path] = {}
    for path in study.glob("slurm/*/jobs.json"):
        try:
            jobs = json.loads(path.read_text(encoding="utf-8"))
            tasks.update({job: path.parent / "tasks" / name for job, name in jobs.items()})
        except (AttributeError, TypeError, ValueError) as error:  # not JSON, or not a dict of names
            raise ConfigError(f"{path} cannot be read ({one_line(error)}); move its directory away") from error
    return tasks


def seconds_per_task(timeout_min: int, measured: bool) -> float:
    """Return the training time of a task with `packs_per_task=auto`: at most a quarter of the job's time limit.

    Args:
        timeout_min: time limit of the job.
        measured: whether finished cells predict the times.
    """
    return min(TASK_SECONDS, 15.0 * timeout_min) * (1 if measured else GUESSED)


def start_within_s(at_a_time: int) -> float:
    """Return the time over which tasks spread their starts, so that W&B, Hub and file server can serve them all.

    Args:
        at_a_time: tasks that run at a time.
    """
    return min(LONGEST_START_S, at_a_time / STARTS_PER_S) if at_a_time > CROWD else 0.0


def by_number(packs: Sequence[T], packs_per_task: int) -> list[list[T]]:
    """Group packs into tasks of `packs_per_task` each, in order."""
    return [list(packs[start : start + packs_per_task]) for start in range(0, len(packs), packs_per_task)]


def by_seconds(packs: Sequence[T], seconds: Sequence[float], wanted_seconds: float) -> list[list[T]]:
    """Group packs into tasks, in order: a task takes packs until `wanted_seconds` are reached.

    Args:
        packs: the packs.
        seconds: predicted time of each pack.
        wanted_seconds: time of a task.
    """
    tasks: list[list[T]] = []
    filled = 0.0
    for pack, pack_seconds in zip(packs, seconds, strict=True):
        if not tasks or filled + pack_seconds > wanted_seconds:
            tasks.append([])
            filled = 0.0
        tasks[-1].append(pack)
        filled += pack_seconds
    return tasks


def split_arrays(tasks: Sequence[T], max_array_size: int) -> list[list[T]]:
    """Divide tasks into arrays of nearly equal length, whose last index is below `max_array_size`."""
    limit = max(1, max_array_size)
    arrays = -(-len(tasks) // limit)
    length = -(-len(tasks) // arrays)
    return [list(tasks[start : start + length]) for start in range(0, len(tasks), length)]
