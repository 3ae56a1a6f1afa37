"""`hydra/launcher=local`: train packs on this machine's devices."""

from hydra_plugins.memlaw_launchers.launcher import PackLauncher

from memlaw.backends.backend import Backend
from memlaw.backends.workers import Workers
from memlaw.core.errors import ConfigError


class LocalLauncher(PackLauncher):
    """Trains packs in worker processes.

    Args:
        workers: number of workers; `auto` is one per visible GPU, else one.
    """

    def __init__(self, workers: str | int):
        self.workers = workers

    def check_options(self) -> None:
        """See `PackLauncher`."""
        if self.workers != "auto" and (not isinstance(self.workers, int) or self.workers < 1):
            raise ConfigError(f"hydra.launcher.workers={self.workers} is neither auto nor a number of at least 1")

    def backend(self) -> Backend:
        """Return the workers. Raises ConfigError when their number is impossible."""
        self.check_options()
        return Workers(self.workers)
