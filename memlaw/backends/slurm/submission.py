"""A submission: the directory `runs/<study>/slurm/<time>/` with task files, scripts, logs and job ids."""

import contextlib
import io
import os
import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from memlaw.backends.slurm.job import TrainTask
from memlaw.backends.slurm.options import SlurmOptions
from memlaw.backends.slurm.tasks import Task
from memlaw.core.errors import ConfigError
from memlaw.core.files import write_json, write_text
from memlaw.core.paths import checkout_paths


class Submission:
    """The tasks that a sweep queues together.

    Args:
        directory: directory of its files, which jobs must see.
        options: options of the jobs.
    """

    def __init__(self, directory: Path, options: SlurmOptions):
        self.directory = directory
        self.options = options
        self.jobs: dict[str, str] = {}

    @classmethod
    def new(cls, study: Path, options: SlurmOptions) -> "Submission":
        """Return a submission with a new directory in `study`."""
        return cls(study / "slurm" / datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S.%f"), options)

    def write_tasks(self, tasks: Sequence[Task]) -> list[Path]:
        """Write each task's file."""
        paths = [self.directory / "tasks" / f"{number:05}.json" for number in range(len(tasks))]
        for path, task in zip(paths, tasks, strict=True):
            task.write(path)
        return paths

    def submit(self, arrays: Sequence[Sequence[Path]]) -> list[str]:
        """Queue a job array per list of task files, and write down the job of each task.

        Returns:
            Job ids, an array's as `12_3`.

        Raises:
            ConfigError: sbatch refuses, in its own words. Earlier arrays stay queued.
        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        for number, array in enumerate(arrays):
            executor = self._executor(arrays, number)
            try:
                with _outside_of_a_job(), contextlib.redirect_stderr(io.StringIO()):  # submitit prints what it raises
                    jobs = executor.submit_array([TrainTask(path) for path in array])
            except (FailedJobError, FailedSubmissionError) as error:
                queued = f" Queued before that: {', '.join(self.jobs)}." if self.jobs else ""
                raise ConfigError(f"{error}.{queued}") from error
            self.jobs |= {job.job_id: path.name for job, path in zip(jobs, array, strict=True)}
            write_json(self.directory / "jobs.json", self.jobs)
        return list(self.jobs)

    def write_scripts(self, arrays: Sequence[Sequence[Any]]) -> list[Path]:
        """Write the sbatch script of each array. Submit nothing."""
        paths = []
        for number, array in enumerate(arrays):
            executor = self._executor(arrays, number)
            if len(array) > 1:
                executor.parameters["map_count"] = len(array)
            paths.append(self.directory / f"submission-{number}.sh")
            write_text(paths[-1], executor._make_submission_file_text(executor._submitit_command_str, ""))
        return paths

    def _executor(self, arrays: Sequence[Sequence[Any]], number: int) -> Any:
        """Return the executor that submits the array `arrays[number]`."""
        from submitit import SlurmExecutor

        python = self.options.python
        executor = SlurmExecutor(
            self.directory, max_num_timeout=self.options.requeues, python=shlex.join(python) if python else None
        )
        limit = self.options.array_parallelism
        parallel = len(arrays[number]) if limit is None else limit // len(arrays) + (number < limit % len(arrays))
        study = self.directory.parent.parent
        executor.update_parameters(**self.options.parameters(f"memlaw-{study.name}", parallel, checkout_paths()))
        return executor


@contextlib.contextmanager
def _outside_of_a_job() -> Iterator[None]:
    """Hide the variables of a surrounding job, which sbatch would read as options. Leave the user's options visible."""
    from submitit.helpers import clean_env

    options = {name: value for name, value in os.environ.items() if name == "SLURM_CONF" or name.startswith("SBATCH_")}
    with clean_env():
        os.environ.update(options)
        yield
