"""`hydra/launcher=slurm`: packs as tasks of SLURM job arrays."""

import logging
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hydra_plugins.memlaw_launchers.launcher import PackLauncher
from hydra_plugins.memlaw_launchers.slurm_options import SlurmOptions
from omegaconf import DictConfig, OmegaConf

from memlaw.errors import ConfigError, SweepFailed
from memlaw.runner import Runner
from memlaw.slurm_programs import REMEDY, missing_programs

if TYPE_CHECKING:
    from hydra_plugins.memlaw_launchers.slurm_tasks import Task

    from memlaw.cell import Cell
    from memlaw.plan import Machine, Plan

log = logging.getLogger(__name__)

T = TypeVar("T")


class SlurmLauncher(PackLauncher):
    """Queues packs and, as told, waits for them.

    Args:
        options: see `SlurmOptions`.
    """

    interrupted = "No longer waiting; what is queued stays queued (scancel takes it back)."

    def __init__(self, **options: Any):
        self.options = options

    def check_options(self) -> None:
        """See `PackLauncher`."""
        self._checked_options()

    def runner(self) -> Runner:
        """Slurm. Raises ConfigError when an option is impossible or submitit is missing."""
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise ConfigError("hydra/launcher=slurm needs submitit: pip install 'memlaw[slurm]'") from None
        return _SlurmRunner(self._checked_options())

    def _checked_options(self) -> SlurmOptions:
        options: Any = OmegaConf.to_container(OmegaConf.create(self.options), resolve=True)
        known = {field.name for field in fields(SlurmOptions)}
        if options.keys() - known:
            unknown = ", ".join(sorted(options.keys() - known))
            raise ConfigError(f"hydra.launcher: {unknown} is none of {', '.join(sorted(known))}")
        return SlurmOptions(**options)


class _SlurmRunner(Runner):
    def __init__(self, options: SlurmOptions):
        self.options = options

    def machine(self, cfg: DictConfig) -> "Machine":
        import torch

        from memlaw.plan import Machine

        options = self.options
        if cfg.trainer.device not in ("auto", options.device):
            raise ConfigError(
                f"trainer.device={cfg.trainer.device}: with hydra.launcher.gpus={options.gpus} a job has "
                f"{options.device}; leave it at auto"
            )
        if missing := missing_programs():
            raise ConfigError(f"hydra/launcher=slurm: {missing}; {REMEDY}")
        memory_gb = options.pack_memory_gb if cfg.pack.memory_gb == "auto" else 0.0
        at_a_time = options.array_parallelism or sys.maxsize
        return Machine(torch.device(options.device), int(memory_gb * 1e9), at_a_time, remote=True)

    def queued(self, cells: Sequence["Cell"]) -> set[Path]:
        waiting = {cell.paths.directory for cell in cells if not cell.status.ended}
        return waiting & set().union(*_live_tasks(cells).values())

    def rehearse(self, plan: "Plan", settings: DictConfig) -> None:
        from hydra_plugins.memlaw_launchers.slurm_submission import Submission

        from memlaw.tables import count

        study = plan.packs[0].cells[0].study
        tasks = self._tasks(plan, settings)
        scripts = Submission(study / "slurm" / "dry-run", self.options).write_scripts(self._arrays(tasks))
        print(
            f"{count(len(tasks), 'task')} in {count(len(scripts), 'submission')}, the first of them:\n\n"
            f"{scripts[0].read_text(encoding='utf-8')}\nWritten to {', '.join(map(str, scripts))}; nothing submitted."
        )

    def run(self, plan: "Plan", settings: DictConfig) -> None:
        from hydra_plugins.memlaw_launchers.slurm_queue import ranges
        from hydra_plugins.memlaw_launchers.slurm_submission import Submission

        from memlaw.tables import count

        study = plan.packs[0].cells[0].study
        tasks = self._tasks(plan, settings)
        submission = Submission.new(study, self.options)
        paths = submission.write_tasks(tasks)
        jobs = submission.submit(self._arrays(paths))
        log.info("%s queued: %s", count(len(tasks), "task"), ranges(jobs))
        arrays = ",".join(dict.fromkeys(job.partition("_")[0] for job in jobs))
        where = shlex.quote(str(study))
        log.info("  the queue   squeue --jobs=%s", arrays)
        log.info("  the study   python -m memlaw.status %s", where)
        log.info("  the output  %s/*_log.out", shlex.quote(str(submission.directory)))
        log.info("  take back   scancel %s", arrays.replace(",", " "))

    def follow(self, cells: Sequence["Cell"], cfg: DictConfig) -> bool:
        if not self.options.wait:
            return False
        from hydra_plugins.memlaw_launchers.slurm_queue import Watched

        from memlaw.plan import make_plan
        from memlaw.progress import Watch

        directories = {cell.paths.directory for cell in cells}
        watched = Watched({job for job, own in _live_tasks(cells).items() if own & directories})

        def ended(seconds: float) -> bool:
            time.sleep(seconds)
            return all(cell.status.ended for cell in cells) or watched.gone()

        Watch(make_plan(cells, cfg, self.machine(cfg))).run(ended)
        return True

    def account_for(self, left: Sequence["Cell"]) -> None:
        from memlaw.tables import count

        raise SweepFailed(
            f"{count(len(left), 'cell')} unfinished, and no job of this sweep is left: cancelled, killed or out of "
            f"time. What the jobs printed is in {left[0].study / 'slurm'}; the same command trains the rest."
        )

    def _tasks(self, plan: "Plan", settings: DictConfig) -> list["Task"]:
        """The plan's packs as tasks, with the settings as they are in a job."""
        from hydra_plugins.memlaw_launchers.slurm_tasks import (
            Task,
            by_number,
            by_seconds,
            seconds_per_task,
            start_within_s,
        )

        options = self.options
        if options.packs_per_task == "auto":
            seconds = [sum(pack.cell_seconds(plan.cost)) for pack in plan.packs]
            wanted = seconds_per_task(options.timeout_min, measured=plan.cost.measured_cells > 0)
            groups = by_seconds(plan.packs, seconds, wanted)
        else:
            groups = by_number(plan.packs, int(options.packs_per_task))
        own: Any = OmegaConf.to_container(settings, resolve=True)
        own["trainer"]["device"] = options.device
        if options.device == "cpu" and options.mem_gb and own["trainer"]["prefix_cache_gb"] == "auto":
            own["trainer"]["prefix_cache_gb"] = options.mem_gb / 4  # of the job's memory, not of the node's
        study = str(plan.packs[0].cells[0].study)
        if "%" in study:
            raise ConfigError(f"study or runs_dir: {study} holds a %, which Slurm reads as a code in names of files")
        within_s = start_within_s(min(len(groups), options.array_parallelism or len(groups)))
        return [Task(study, [[cell.name for cell in pack.cells] for pack in group], own, within_s) for group in groups]

    def _arrays(self, tasks: Sequence[T]) -> list[list[T]]:
        """Tasks to arrays. Raises ConfigError where the arrays are more than may train at a time."""
        from hydra_plugins.memlaw_launchers.slurm_queue import ask, max_array_size
        from hydra_plugins.memlaw_launchers.slurm_tasks import split_arrays

        size = max_array_size(ask("scontrol", "show", "config"))
        arrays, at_a_time = split_arrays(tasks, size), self.options.array_parallelism
        if at_a_time is not None and at_a_time < len(arrays):
            raise ConfigError(
                f"hydra.launcher.array_parallelism={at_a_time} is less than the {len(arrays)} arrays that {len(tasks)} "
                f"tasks are here (MaxArraySize={size}): raise it, or packs_per_task"
            )
        return arrays


def _live_tasks(cells: Sequence["Cell"]) -> dict[str, set[Path]]:
    """By the id of each waiting or running job of the cells' study, the directories of the cells that it trains."""
    from hydra_plugins.memlaw_launchers.slurm_queue import live_jobs
    from hydra_plugins.memlaw_launchers.slurm_submission import submitted
    from hydra_plugins.memlaw_launchers.slurm_tasks import Task

    jobs = {job: path for study in {cell.study for cell in cells} for job, path in submitted(study).items()}
    live = live_jobs() if jobs else set()
    tasks = {job: Task.read(path) for job, path in jobs.items() if job in live}
    return {job: {Path(task.study) / name for pack in task.packs for name in pack} for job, task in tasks.items()}
