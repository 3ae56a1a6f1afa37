"""`hydra/launcher=slurm`: train packs in Slurm job arrays."""

from typing import Any

from hydra_plugins.memlaw_launchers.launcher import PackLauncher
from omegaconf import OmegaConf

from memlaw.backends.backend import Backend
from memlaw.backends.slurm.backend import Slurm
from memlaw.backends.slurm.options import SlurmOptions


class SlurmLauncher(PackLauncher):
    """Queues packs, and waits for them if the option `wait` says so.

    Args:
        options: see `SlurmOptions`.
    """

    interrupted = "No longer waiting. Jobs stay queued; scancel cancels them."

    def __init__(self, **options: Any):
        self.options = options

    def check_options(self) -> None:
        """See `PackLauncher`."""
        self._checked_options()

    def backend(self) -> Backend:
        """Return Slurm. Raises ConfigError when an option is impossible."""
        return Slurm(self._checked_options())

    def _checked_options(self) -> SlurmOptions:
        options: Any = OmegaConf.to_container(OmegaConf.create(self.options), resolve=True)
        return SlurmOptions.from_config(options)
