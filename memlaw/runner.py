"""Where the packs of a plan are trained: in this process, unless a launcher brings a runner of its own."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

if TYPE_CHECKING:
    from memlaw.cell import Cell
    from memlaw.plan import Machine, Plan

log = logging.getLogger(__name__)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Log to a file as well, as worker processes do; when the disk is full, to the terminal alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        with suppress(OSError):
            handler.close()


class Runner:
    """Trains packs in this process, one after another."""

    def machine(self, cfg: DictConfig) -> "Machine":
        """What a pack trains on.

        Args:
            cfg: a composed config, for its operational settings.

        Raises:
            ConfigError: the settings ask for what is not there.
        """
        from memlaw.plan import Machine

        return Machine.here(cfg.trainer.device, workers=1)

    def queued(self, cells: Sequence["Cell"]) -> set[Path]:
        """Directories of those cells that an earlier call has queued, so that they are trained without this one."""
        return set()

    def rehearse(self, plan: "Plan", settings: DictConfig) -> None:
        """Show, for a dry run, what `run` would do beyond what the plan's table tells."""

    def run(self, plan: "Plan", settings: DictConfig) -> None:
        """Train the packs, or queue them; outcomes are in the cells' directories.

        Args:
            plan: the packs.
            settings: see `memlaw.pack.train_pack`.

        Raises:
            ConfigError: they cannot be trained with these settings.
        """
        from memlaw.pack import train_pack

        with _logging_to(plan.packs[0].cells[0].study / "logs" / "main.log"):
            for pack in plan.packs:
                train_pack(pack.cells, settings)

    def follow(self, cells: Sequence["Cell"], cfg: DictConfig) -> bool:
        """Stay with cells that `run` or an earlier call queued until they have ended, or none will train them.

        Args:
            cells: those that the sweep wants trained.
            cfg: as for `machine`.

        Returns:
            Whether it stayed, or there was nothing to stay for; False leaves them to the queue.
        """
        return True

    def account_for(self, left: Sequence["Cell"]) -> None:
        """Say why cells are neither done nor failed after `run`. Raises SweepFailed when that is a failure."""
        from memlaw.errors import SweepFailed
        from memlaw.heartbeat import observed_state
        from memlaw.status_file import RUNNING
        from memlaw.tables import count

        others = [cell for cell in left if observed_state(cell.paths, cell.status) == RUNNING]
        if others:
            log.warning("%s left to another process that is training the same study", count(len(others), "cell"))
        if len(others) < len(left):
            raise SweepFailed(
                f"{count(len(left) - len(others), 'cell')} unfinished; what the workers printed is in "
                f"{left[0].study / 'logs'}. The same command trains the rest."
            )
