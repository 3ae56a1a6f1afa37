"""What memlaw's launchers share: they compose the cells of a sweep and hand them to a backend."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from memlaw.config.keys import OPERATIONAL
from memlaw.core.errors import INTERRUPTED, ConfigError, SweepFailed, leave_interrupted, refuse
from memlaw.planning.cells import compose_cell
from memlaw.study.status import DONE
from memlaw.sweep.run_sweep import run_sweep

if TYPE_CHECKING:
    from memlaw.backends.backend import Backend


class PackLauncher(Launcher):
    """Composes the cells and lets its backend train those that the study lacks, in packs."""

    interrupted = INTERRUPTED
    """The message after Ctrl-C."""

    config: DictConfig | None = None
    hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra before `launch`."""
        self.config = config
        self.hydra_context = hydra_context

    @abstractmethod
    def check_options(self) -> None:
        """Raise ConfigError when the launcher's own options are impossible."""

    @abstractmethod
    def backend(self) -> "Backend":
        """Return where the packs run. Raises ConfigError when the launcher's own options are impossible."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Train one cell per job; a failed cell is raised only after all others were trained."""
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
                HydraConfig.instance().set_config(cfg)  # for values that look up Hydra's own, as in a single job
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
            raise ConfigError(f"{key} says how or where to run and is one for the whole sweep; it cannot be swept")
