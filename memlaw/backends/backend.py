"""The shape of every place where packs run: submit a plan, get a handle, wait on it."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from omegaconf import DictConfig

from memlaw.core.errors import SweepFailed
from memlaw.core.wording import count
from memlaw.planning.planned import Plan
from memlaw.study.cell import Cell
from memlaw.study.status import RUNNING
from memlaw.study.survey import Observation

if TYPE_CHECKING:
    from memlaw.planning.machine import Machine

log = logging.getLogger(__name__)


class Handle(Protocol):
    """Packs that were submitted."""

    @property
    def cells(self) -> Sequence[Cell]:
        """Return the cells of these packs."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait for about this long, and return whether nobody will train these packs any further."""
        ...


class NoPacks:
    """The handle of nothing: it has always ended."""

    cells: Sequence[Cell] = ()

    def wait(self, seconds: float) -> bool:
        """Return True at once."""
        return True


class Backend(ABC):
    """A place where packs run. Outcomes are in the cells' directories.

    Attributes:
        waits: whether a sweep stays until its packs have ended; otherwise it returns once they are queued.
        prints: whether training prints to this terminal itself, so that a sweep shows no progress of its own.
    """

    waits = True
    prints = False

    @abstractmethod
    def machine(self, cfg: DictConfig) -> "Machine":
        """Describe what a pack trains on.

        Args:
            cfg: a composed config, for its operational settings.

        Raises:
            ConfigError: the settings ask for something that is not there.
        """

    @abstractmethod
    def submit(self, plan: Plan, settings: DictConfig) -> AbstractContextManager[Handle]:
        """Hand the packs over.

        Inside the context, wait on the handle. Leaving the context by an exception stops what runs on this machine;
        jobs in a queue stay there.

        Args:
            plan: the packs.
            settings: see `memlaw.training.pack.train_pack`.

        Raises:
            ConfigError: the packs cannot be trained with these settings.
        """

    def attach(self, cells: Sequence[Cell]) -> Handle:
        """Return the handle of those cells that have not ended and that an earlier call has queued."""
        return NoPacks()

    def rehearse(self, plan: Plan, settings: DictConfig) -> str:
        """Return what a dry run prints of `submit`, beyond the plan's own table."""
        return ""

    def account_for(self, unfinished: Sequence[Observation], study: Path) -> None:
        """Say why cells have not ended though no pack of this sweep is left.

        Args:
            unfinished: these cells.
            study: directory of their study.

        Raises:
            SweepFailed: no other process is training them.
        """
        elsewhere = [observation for observation in unfinished if observation.state == RUNNING]
        if elsewhere:
            log.warning("%s left to another process that is training the same study", count(len(elsewhere), "cell"))
        left = len(unfinished) - len(elsewhere)
        if left:
            raise SweepFailed(
                f"{count(left, 'cell')} unfinished; what the workers printed is in {study / 'logs'}. "
                "The same command trains the rest."
            )
