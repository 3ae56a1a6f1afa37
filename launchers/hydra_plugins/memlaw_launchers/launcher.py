"""The base of memlaw's launchers: compose the cells of a sweep, and hand them to a backend."""

from abc import abstractmethod
from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from memlaw.backends.backend import Backend
from memlaw.config.keys import OPERATIONAL
from memlaw.core.errors import INTERRUPTED, ConfigError, SweepFailed, leave_interrupted, refuse
from memlaw.planning.cells import compose_cell
from memlaw.study.status import DONE
from memlaw.sweep.run_sweep import run_sweep


class PackLauncher(Launcher):
    """Composes the cells of a sweep and lets a backend train the missing cells in packs."""

    interrupted = INTERRUPTED
    """The message after Ctrl-C."""

    config: DictConfig | None = None
    hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what `launch` needs. Hydra calls this first."""
        self.config = config
        self.hydra_context = hydra_context

    @abstractmethod
    def check_options(self) -> None:
        """Raise ConfigError when the launcher's options are impossible."""

    @abstractmethod
    def backend(self) -> Backend:
        """Return the backend. Raises ConfigError when the launcher's options are impossible."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train a cell per job. Report failed cells to Hydra after all others were trained."""
        setup_globals()
        assert self.config is not None and self.hydra_context is not None
        configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)
        configure_log(self.config.hydra.job_logging, self.config.hydra.verbose)
        loader = self.hydra_context.config_loader
        configs = [loader.load_sweep_config(self.config, list(overrides)) for overrides in job_overrides]
        failure: SweepFailed | None = None
        try:
            backend = self.backend()
            cells = []
            for cfg in configs:
                HydraConfig.instance().set_config(cfg)  # for values that look up Hydra's config, as in a single job
                cells.append(compose_cell(cfg))
            _refuse_operational_sweeps(configs)
            run_sweep(cells, configs[0], backend)
        except ConfigError as error:
            refuse(error)
        except KeyboardInterrupt:
            leave_interrupted(self.interrupted)
        except SweepFailed as error:
            failure = error
        return [
            JobReturn(overrides, cfg, status=JobStatus.FAILED, _return_value=failure)
            if failure and cell.state != DONE
            else JobReturn(overrides, cfg, status=JobStatus.COMPLETED)
            for overrides, cfg, cell in zip(job_overrides, configs, cells, strict=True)
        ]


def _refuse_operational_sweeps(configs: Sequence[DictConfig]) -> None:
    for key in OPERATIONAL:
        if len({str(cfg[key]) for cfg in configs}) > 1:
            raise ConfigError(f"{key} says how or where to run; a sweep has a single value of it")
