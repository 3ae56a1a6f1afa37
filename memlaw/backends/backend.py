"""The interface of a backend, a place where packs run: submit a plan, get a handle, wait on it."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from omegaconf import DictConfig

from memlaw.core.errors import SweepFailed
from memlaw.core.wording import count
from memlaw.planning.machine import Machine
from memlaw.planning.planned import Plan
from memlaw.study.cell import Cell
from memlaw.study.status import RUNNING
from memlaw.study.survey import Observation

log = logging.getLogger(__name__)


class Handle(Protocol):
    """Packs that were submitted."""

    @property
    def cells(self) -> Sequence[Cell]:
        """Return the cells of these packs."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait for about this long, and return whether these packs have ended."""
        ...


class NoPacks:
    """The handle of no packs. It has ended from the start."""

    cells: Sequence[Cell] = ()

    def wait(self, seconds: float) -> bool:
        """Return True at once."""
        return True


class Backend(ABC):
    """A place where packs run. The outcomes are in the cells' directories.

    Attributes:
        waits: whether a sweep waits until its packs have ended. Otherwise it returns once they are queued.
        prints: whether training prints to this terminal. Otherwise the sweep shows the progress.
    """

    waits = True
    prints = False

    @abstractmethod
    def machine(self, cfg: DictConfig) -> Machine:
        """Describe the machine on which a pack trains.

        Args:
            cfg: a composed config, of which only operational keys are read.

        Raises:
            ConfigError: the settings ask for something that is not there.
        """

    @abstractmethod
    def submit(self, plan: Plan, settings: DictConfig) -> AbstractContextManager[Handle]:
        """Start or queue the packs.

        Wait on the handle inside the context. Leaving the context by an exception stops packs on this machine. Jobs in
        a queue stay there.

        Args:
            plan: the packs.
            settings: see `memlaw.training.pack.train_pack`.

        Raises:
            ConfigError: the packs cannot be trained with these settings.
        """

    def attach(self, cells: Sequence[Cell]) -> Handle:
        """Return the handle of those cells that an earlier call has queued and that have not ended."""
        return NoPacks()

    def rehearse(self, plan: Plan, settings: DictConfig) -> str:
        """Return the text that a dry run prints after the table of the plan."""
        return ""

    def account_for(self, unfinished: Sequence[Observation], study: Path) -> None:
        """Explain why cells have not ended although no pack of this sweep is left.

        Args:
            unfinished: these cells.
            study: directory of their study.

        Raises:
            SweepFailed: no other process is training them.
        """
        elsewhere = [observation for observation in unfinished if observation.state == RUNNING]
        if elsewhere:
            log.warning("%s still trained by another process", count(len(elsewhere), "cell"))
        left = len(unfinished) - len(elsewhere)
        if left:
            raise SweepFailed(
                f"{count(left, 'cell')} unfinished; the output of the workers is in {study / 'logs'}. "
                "The same command trains the rest."
            )
