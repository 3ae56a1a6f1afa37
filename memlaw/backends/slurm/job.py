"""Train the packs of a task inside a Slurm job, one after another in the same process."""

import logging
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from memlaw.backends.slurm.tasks import Task
from memlaw.core.errors import ConfigError
from memlaw.study.cell import Cell
from memlaw.study.liveness import SILENT_S

log = logging.getLogger(__name__)

RETRY_S = 10.0
"""Seconds between two looks at a cell that another process holds."""


class TrainTask:
    """Trains the cells of a task from their directories. submitit pickles it, so it holds nothing but a path.

    Args:
        path: file of the task.
    """

    def __init__(self, path: Path):
        self.path = str(path)

    def __call__(self) -> None:
        """Train the cells that have not ended. The outcomes are in their directories.

        Retry cells that another process holds, until the lock of a lost node or of a cancelled job must be free.
        """
        from memlaw.training.pack import train_pack

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
        _leave_cells_unfinished()
        task = Task.read(Path(self.path))
        settings = OmegaConf.create(task.settings)
        time.sleep(random.uniform(0, task.start_within_s))
        for names in task.packs:
            train_pack(_unended(task.study, names), settings)
        deadline = time.monotonic() + SILENT_S
        while time.monotonic() < deadline and any(_unended(task.study, names) for names in task.packs):
            time.sleep(RETRY_S)
            for names in task.packs:
                train_pack(_unended(task.study, names), settings)

    def checkpoint(self) -> Any:
        """Return the submission that submitit queues after a preemption or a timeout: the same task again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _unended(study: str, names: list[str]) -> list[Cell]:
    """Load the cells that are neither done nor failed. Leave out cells whose directory was edited or moved."""
    cells = []
    for name in names:
        try:
            cells.append(Cell.load(Path(study) / name))
        except ConfigError as error:
            log.error("%s is not trained: %s", name, error)
    return [cell for cell in cells if not cell.status.ended]


def _leave_cells_unfinished() -> None:
    """End the job when submitit cannot requeue it. Otherwise submitit's error would fail the cell."""
    requeue = signal.getsignal(signal.SIGUSR2)
    if not callable(requeue):
        return

    def requeue_or_exit(signum: int, frame: Any) -> None:
        try:
            requeue(signum, frame)
        except Exception as error:
            sys.exit(f"{error} The same sweep, run again, trains the missing cells.")

    signal.signal(signal.SIGUSR2, requeue_or_exit)
