"""`hydra/launcher=local`: packs on this machine's devices."""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from memlaw.errors import ConfigError, SweepFailed, leave_interrupted, refuse


class LocalLauncher(Launcher):
    """Composes the cells, drops the finished, and trains the rest in warm worker processes.

    Args:
        workers: `auto` (one per visible GPU, else one), or how many.
    """

    def __init__(self, workers: str | int):
        self.workers = workers
        self.config: DictConfig | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `launch`."""
        self.config = config
        self.hydra_context = hydra_context

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train one cell per job; a failed cell is raised only after all others were trained."""
        from memlaw.cell import FAILED, Cell
        from memlaw.sweep import run_sweep

        setup_globals()
        assert self.config is not None and self.hydra_context is not None
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        configure_log(self.config.hydra.job_logging, self.config.hydra.verbose)
        loader = self.hydra_context.config_loader
        configs = [loader.load_sweep_config(self.config, list(overrides)) for overrides in job_overrides]
        failure: SweepFailed | None = None
        try:
            self._check_workers()
            _refuse_operational_sweeps(configs)
            cells = [Cell.from_config(cfg) for cfg in configs]
            run_sweep(cells, configs[0], self._run_plan, lambda: len(self._environments(configs[0])))
        except ConfigError as error:
            refuse(error)
        except KeyboardInterrupt:
            leave_interrupted()
        except SweepFailed as error:
            failure = error
        return [
            JobReturn(overrides, cfg, status=JobStatus.FAILED, _return_value=failure)
            if failure and cell.state == FAILED
            else JobReturn(overrides, cfg, status=JobStatus.COMPLETED)
            for overrides, cfg, cell in zip(job_overrides, configs, cells, strict=True)
        ]

    def _check_workers(self) -> None:
        if self.workers != "auto" and (not isinstance(self.workers, int) or self.workers < 1):
            raise ConfigError(f"hydra.launcher.workers={self.workers} is neither auto nor a number of at least 1")

    def _environments(self, cfg: DictConfig) -> list[dict[str, str]]:
        from hydra_plugins.memlaw_launchers.workers import worker_environments

        return worker_environments(self.workers, cfg.trainer.device)

    def _run_plan(self, plan: Any, settings: DictConfig) -> None:
        from hydra_plugins.memlaw_launchers.workers import train_packs

        from memlaw.progress import Watch

        groups = [pack.cells for pack in plan.packs]
        log_dir = groups[0][0].study / "logs"
        train_packs(groups, settings, self._environments(settings), log_dir, Watch(plan).run)


def _refuse_operational_sweeps(configs: Sequence[DictConfig]) -> None:
    for group in ("trainer", "logger", "checkpoint", "pack", "rerun", "dry_run"):
        if any(cfg[group] != configs[0][group] for cfg in configs):
            raise ConfigError(f"{group} says how to run and is one for the whole sweep; it cannot be swept")
