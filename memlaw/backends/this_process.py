"""Train packs in this process, one after another. This is the backend of a single run."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from omegaconf import DictConfig

from memlaw.backends.backend import Backend, Handle
from memlaw.planning.machine import Machine
from memlaw.planning.planned import Plan


class ThisProcess(Backend):
    """Trains packs in this process. Each call of `wait` trains a pack."""

    prints = True

    def machine(self, cfg: DictConfig) -> Machine:
        """See `Backend`."""
        return Machine.here(cfg.trainer.device, workers=1)

    @contextmanager
    def submit(self, plan: Plan, settings: DictConfig) -> Iterator[Handle]:
        """See `Backend`."""
        with _logging_to(plan.packs[0].cells[0].study / "logs" / "main.log"):
            yield _PacksInTurn(plan, settings)


class _PacksInTurn:
    def __init__(self, plan: Plan, settings: DictConfig):
        self.cells = [cell for pack in plan.packs for cell in pack.cells]
        self.packs = iter(plan.packs)
        self.settings = settings

    def wait(self, seconds: float) -> bool:
        """Train the next pack, however long it takes."""
        from memlaw.training.pack import train_pack

        pack = next(self.packs, None)
        if pack is not None:
            train_pack(pack.cells, self.settings)
        return pack is None


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Log to a file besides the terminal, as worker processes do. On a full disk, log to the terminal alone."""
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
