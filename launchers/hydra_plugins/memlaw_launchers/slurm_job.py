"""What runs inside a SLURM job: the packs of one task, one after another in one process."""

import logging
import signal
import sys
from pathlib import Path
from typing import Any

from hydra_plugins.memlaw_launchers.slurm_tasks import Task


class TrainTask:
    """Trains the cells of a task from their directories; submitit pickles it, which is a path and nothing else.

    Args:
        path: the task's file.
    """

    def __init__(self, path: Path):
        self.path = str(path)

    def __call__(self) -> None:
        """Train what is neither done nor failed; outcomes are in the cells' directories."""
        from omegaconf import OmegaConf

        from memlaw.cell import DONE, FAILED, Cell
        from memlaw.pack import train_pack

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stdout)
        _leave_cells_unfinished()
        task = Task.read(Path(self.path))
        for names in task.packs:
            cells = [Cell.load(Path(task.study) / name) for name in names]
            train_pack([cell for cell in cells if cell.state not in (DONE, FAILED)], OmegaConf.create(task.settings))

    def checkpoint(self) -> Any:
        """What submitit queues again after a preemption or a timeout: the same; the state is on disk."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def _leave_cells_unfinished() -> None:
    """Let the job end, rather than the cell fail, when submitit raises because it cannot requeue."""
    requeue = signal.getsignal(signal.SIGUSR2)
    if not callable(requeue):
        return

    def requeue_or_exit(signum: int, frame: Any) -> None:
        try:
            requeue(signum, frame)
        except Exception as error:
            sys.exit(f"{error} The same sweep, run again, trains what is missing.")

    signal.signal(signal.SIGUSR2, requeue_or_exit)
