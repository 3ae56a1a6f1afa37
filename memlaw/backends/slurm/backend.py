"""Queue packs as tasks of Slurm job arrays, and wait for them if the option `wait` says so."""

import importlib.util
import logging
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from memlaw.backends.backend import Backend, Handle
from memlaw.backends.slurm.commands import REMEDY, cluster_config, max_array_size, missing_programs
from memlaw.backends.slurm.options import SlurmOptions
from memlaw.backends.slurm.queue import Awaited, live_jobs, ranges
from memlaw.backends.slurm.submission import Submission
from memlaw.backends.slurm.tasks import (
    Task,
    by_number,
    by_seconds,
    seconds_per_task,
    split_arrays,
    start_within_s,
    submitted,
)
from memlaw.core.errors import ConfigError, SweepFailed
from memlaw.core.wording import count
from memlaw.planning.machine import PREFIX_SHARE, Machine
from memlaw.planning.planned import Plan
from memlaw.study.cell import Cell
from memlaw.study.survey import Observation

log = logging.getLogger(__name__)

T = TypeVar("T")


class Slurm(Backend):
    """Queues packs.

    Args:
        options: options of the jobs, and whether a sweep waits for them.
    """

    def __init__(self, options: SlurmOptions):
        self.options = options
        self.waits = options.wait

    def machine(self, cfg: DictConfig) -> Machine:
        """See `Backend`. Raises ConfigError on a machine from which no job can be submitted."""
        options = self.options
        if cfg.trainer.device not in ("auto", options.device):
            raise ConfigError(
                f"trainer.device={cfg.trainer.device}: with hydra.launcher.gpus={options.gpus} a job has "
                f"{options.device}; set trainer.device=auto"
            )
        if importlib.util.find_spec("submitit") is None:
            raise ConfigError("hydra/launcher=slurm needs submitit: pip install 'memlaw[slurm]'")
        if missing := missing_programs():
            raise ConfigError(f"hydra/launcher=slurm: {missing}; {REMEDY}")
        ram_gb = options.pack_ram_gb if cfg.pack.memory_gb == "auto" else 0.0  # otherwise the key limits the RAM
        at_a_time = options.array_parallelism or sys.maxsize
        return Machine(options.device, int(ram_gb * 1e9), at_a_time, remote=True)

    def attach(self, cells: Sequence[Cell]) -> Handle:
        """See `Backend`."""
        tasks = _live_tasks({cell.study for cell in cells})
        queued = set().union(*tasks.values())
        waiting = [cell for cell in cells if cell.paths.directory in queued and not cell.status.ended]
        directories = {cell.paths.directory for cell in waiting}
        return _Jobs(waiting, (job for job, trained in tasks.items() if trained & directories))

    @contextmanager
    def submit(self, plan: Plan, settings: DictConfig) -> Iterator[Handle]:
        """See `Backend`. Submitted jobs stay queued even after an exception."""
        study = plan.packs[0].cells[0].study
        tasks = self._tasks(plan, settings)
        submission = Submission.new(study, self.options)
        paths = submission.write_tasks(tasks)
        jobs = submission.submit(self._arrays(paths))
        log.info("%s queued: %s", count(len(tasks), "task"), ranges(jobs))
        arrays = ",".join(dict.fromkeys(job.partition("_")[0] for job in jobs))
        where = shlex.quote(str(study))
        log.info("  the queue   squeue --jobs=%s", arrays)
        log.info("  the study   memlaw status %s", where)
        log.info("  the output  %s/*_log.out", shlex.quote(str(submission.directory)))
        log.info("  cancel      scancel %s", arrays.replace(",", " "))
        yield _Jobs([cell for pack in plan.packs for cell in pack.cells], jobs)

    def rehearse(self, plan: Plan, settings: DictConfig) -> str:
        """Write the scripts for sbatch, and return a text that shows the first."""
        study = plan.packs[0].cells[0].study
        tasks = self._tasks(plan, settings)
        scripts = Submission(study / "slurm" / "dry-run", self.options).write_scripts(self._arrays(tasks))
        return (
            f"{count(len(tasks), 'task')} in {count(len(scripts), 'submission')}, the first of them:\n\n"
            f"{scripts[0].read_text(encoding='utf-8')}\nWritten to {', '.join(map(str, scripts))}; nothing submitted.\n"
        )

    def account_for(self, unfinished: Sequence[Observation], study: Path) -> None:
        """See `Backend`. A cell whose job is gone counts as unfinished even while its heartbeat is fresh."""
        raise SweepFailed(
            f"{count(len(unfinished), 'cell')} unfinished, and no job of this sweep is left: cancelled, killed or out "
            f"of time. The output of the jobs is in {study / 'slurm'}; the same command trains the rest."
        )

    def _tasks(self, plan: Plan, settings: DictConfig) -> list[Task]:
        """Group the plan's packs into tasks, and adapt the settings to a job."""
        options = self.options
        study = str(plan.packs[0].cells[0].study)
        if "%" in study:
            raise ConfigError(f"study or runs_dir: {study} holds a %, which Slurm expands in file names")
        if options.packs_per_task == "auto":
            seconds = [sum(pack.cell_seconds(plan.cost)) for pack in plan.packs]
            wanted = seconds_per_task(options.timeout_min, measured=plan.cost.measured_cells > 0)
            groups = by_seconds(plan.packs, seconds, wanted)
        else:
            groups = by_number(plan.packs, int(options.packs_per_task))
        in_job = self._settings_in_job(settings)
        within_s = start_within_s(min(len(groups), options.array_parallelism or len(groups)))
        names = [[[cell.name for cell in pack.cells] for pack in group] for group in groups]
        return [Task(study, packs, in_job, within_s) for packs in names]

    def _settings_in_job(self, settings: DictConfig) -> dict[str, Any]:
        in_job: Any = OmegaConf.to_container(settings, resolve=True)
        in_job["trainer"]["device"] = self.options.device
        if self.options.device == "cpu" and self.options.mem_gb and in_job["trainer"]["prefix_cache_gb"] == "auto":
            in_job["trainer"]["prefix_cache_gb"] = PREFIX_SHARE * self.options.mem_gb  # not a share of the node's RAM
        return in_job

    def _arrays(self, tasks: Sequence[T]) -> list[list[T]]:
        """Divide tasks into arrays. Raises ConfigError where fewer tasks than arrays may train at a time."""
        size = max_array_size(cluster_config())
        arrays, at_a_time = split_arrays(tasks, size), self.options.array_parallelism
        if at_a_time is not None and at_a_time < len(arrays):
            raise ConfigError(
                f"hydra.launcher.array_parallelism={at_a_time} is less than {len(arrays)}, the number of arrays that "
                f"{len(tasks)} tasks need here (MaxArraySize={size}): raise it, or packs_per_task"
            )
        return arrays


class _Jobs:
    """The handle of jobs that wait or run, and of the cells that they train."""

    def __init__(self, cells: Sequence[Cell], jobs: Iterable[str]):
        self.cells = cells
        self.unended = list(cells)
        self.jobs = Awaited(jobs)

    def wait(self, seconds: float) -> bool:
        """Return whether all cells have ended, or no job is left."""
        time.sleep(seconds if self.unended else 0.0)
        self.unended = [cell for cell in self.unended if not cell.status.ended]
        return not self.unended or self.jobs.gone()


def _live_tasks(studies: set[Path]) -> dict[str, set[Path]]:
    """Map the id of each waiting or running job of the studies to the directories of the cells that it trains."""
    jobs = {job: path for study in studies for job, path in submitted(study).items()}
    live = {job.id for job in live_jobs()} if jobs else set()
    tasks = {job: Task.read(path) for job, path in jobs.items() if job in live}
    return {job: {Path(task.study) / name for pack in task.packs for name in pack} for job, task in tasks.items()}
