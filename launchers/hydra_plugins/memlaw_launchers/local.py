"""`hydra/launcher=local`: packs on this machine's devices."""

from typing import TYPE_CHECKING

from hydra_plugins.memlaw_launchers.launcher import PackLauncher
from omegaconf import DictConfig

from memlaw.errors import ConfigError
from memlaw.runner import Runner

if TYPE_CHECKING:
    from memlaw.plan import Machine, Plan


class LocalLauncher(PackLauncher):
    """Trains packs in warm worker processes.

    Args:
        workers: `auto` (one per visible GPU, else one), or how many.
    """

    def __init__(self, workers: str | int):
        self.workers = workers

    def check_options(self) -> None:
        """See `PackLauncher`."""
        if self.workers != "auto" and (not isinstance(self.workers, int) or self.workers < 1):
            raise ConfigError(f"hydra.launcher.workers={self.workers} is neither auto nor a number of at least 1")

    def runner(self) -> Runner:
        """The workers. Raises ConfigError when their number is impossible."""
        self.check_options()
        return _LocalRunner(self.workers)


class _LocalRunner(Runner):
    def __init__(self, workers: str | int):
        self.workers = workers

    def _environments(self, device: str) -> list[dict[str, str]]:
        from hydra_plugins.memlaw_launchers.workers import worker_environments

        return worker_environments(self.workers, device)

    def machine(self, cfg: DictConfig) -> "Machine":
        from memlaw.plan import Machine

        return Machine.here(cfg.trainer.device, len(self._environments(cfg.trainer.device)))

    def run(self, plan: "Plan", settings: DictConfig) -> None:
        from hydra_plugins.memlaw_launchers.workers import train_packs

        from memlaw.progress import Watch

        groups = [pack.cells for pack in plan.packs]
        log_dir = groups[0][0].study / "logs"
        train_packs(groups, settings, self._environments(settings.trainer.device), log_dir, Watch(plan).run)
