"""Train a grid of cells: choose the missing cells, check and pack them, run the packs, show the outcome."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from memlaw.backends.backend import Backend, Handle
from memlaw.config.keys import TRAINING_SETTINGS
from memlaw.core.errors import ConfigError, SweepFailed
from memlaw.core.wording import count
from memlaw.planning.planned import Plan
from memlaw.screens.progress import Watch
from memlaw.screens.tables import print_plan, print_study
from memlaw.study.cell import Cell
from memlaw.study.liveness import DEAD, trained_elsewhere
from memlaw.study.status import DONE, FAILED, UNREADABLE
from memlaw.study.survey import Observation, survey

log = logging.getLogger(__name__)

RERUN = {
    "missing": lambda state: state not in (DONE, FAILED),
    "failed": lambda state: state != DONE,
    "stale": lambda state: state in (DEAD, UNREADABLE),
    "all": lambda state: True,
}
"""`rerun` → whether a cell in a state (`memlaw.study.survey.STATES`) is trained."""

POLL_S = 1.0
"""Seconds between two looks at cells that train."""


def run_sweep(cells: Sequence[Cell], cfg: DictConfig, backend: Backend) -> None:
    """Train the cells that the study lacks and print the table of all. A backend that does not wait only queues them.

    Args:
        cells: the grid.
        cfg: a composed config, of which only operational keys are read.
        backend: where packs run.

    Raises:
        ConfigError: before anything is trained, when the configuration is impossible.
        SweepFailed: at the end, when cells failed or were left unfinished.
    """
    study = cells[0].study
    before = survey(cells)
    for cell in cells:
        cell.check_directory()
    wanted = select(cells, before, cfg.rerun)
    earlier = backend.attach(wanted)
    queued = {cell.name for cell in earlier.cells}
    missing = [cell for cell in wanted if cell.name not in queued]
    if queued:
        log.info("%s queued already, and left to these jobs", count(len(queued), "cell"))
    if not wanted:
        log.info("Nothing to train: %s.", _tally(before))
    prepared = _prepare(missing, cfg, backend) if missing else None
    if wanted and cfg.dry_run:
        if prepared:
            print_plan(before, prepared.plan, prepared.workers)
            print(backend.rehearse(prepared.plan, prepared.settings), end="")
        return
    with ExitStack() as running:
        handles = [earlier]
        if prepared:
            _write_plan(prepared.plan, cfg.rerun)
            prepared.announce(study)
            handles.append(running.enter_context(backend.submit(prepared.plan, prepared.settings)))
        if wanted:
            if not backend.waits:
                return
            _follow(handles, show=not backend.prints)
    after = survey(cells)
    print_study(after)
    if prepared and (left_behind := prepared.tracking.left_behind(study)):
        log.warning(left_behind)
    _refuse_failures(after)
    names = {cell.name for cell in wanted}
    if unfinished := [
        observation for observation in after if observation.name in names and not observation.status.ended
    ]:
        backend.account_for(unfinished, study)


@dataclass(frozen=True)
class _Prepared:
    """A plan that is ready to be submitted.

    Attributes:
        plan: the packs.
        workers: packs that train at a time.
        tracking: the service of `cfg.logger`. It knows its mode, and what a user has to do afterwards.
        settings: settings for `memlaw.training.pack.train_pack`. Its `logger.mode` is the mode found on this machine.
    """

    plan: Plan
    workers: int
    tracking: Any
    settings: DictConfig

    def announce(self, study: Path) -> None:
        if hint := self.tracking.hint(study):
            log.info(hint)
        cells = sum(len(pack.cells) for pack in self.plan.packs)
        log.info("%s to train in %s, into %s", count(cells, "cell"), count(len(self.plan.packs), "pack"), study)


def _prepare(cells: Sequence[Cell], cfg: DictConfig, backend: Backend) -> _Prepared:
    """Check the cells, pack them, and cut out the settings of their training. Raises ConfigError."""
    from memlaw.planning.make_plan import make_plan  # imports torch, which a finished sweep need not wait for

    machine = backend.machine(cfg)
    plan = make_plan(cells, cfg, machine)
    tracking = instantiate(cfg.logger)
    settings = OmegaConf.masked_copy(cfg, list(TRAINING_SETTINGS))
    settings.logger.mode = tracking.mode
    return _Prepared(plan, machine.workers, tracking, settings)


def select(cells: Sequence[Cell], observations: Sequence[Observation], rerun: str) -> list[Cell]:
    """Choose the distinct cells that `rerun` asks for: those in some states, or the cell of that name or hash.

    Args:
        cells: the grid.
        observations: `memlaw.study.survey.survey` of these cells.
        rerun: a policy of `RERUN`, or the name or hash of a cell.

    Raises:
        ConfigError: it is neither a policy nor one of the cells.
    """
    distinct = {
        cell.name: (cell, observation.state) for cell, observation in zip(cells, observations, strict=True)
    }.values()
    if str(rerun) in RERUN:
        return [cell for cell, state in distinct if RERUN[str(rerun)](state)]
    named = [cell for cell, _ in distinct if str(rerun) in (cell.name, cell.hash)]
    if not named:
        raise ConfigError(f"rerun={rerun} is not one of {', '.join(RERUN)}, nor the name or hash of a cell of the grid")
    return named


def _write_plan(plan: Plan, rerun: str) -> None:
    """Create the cells' directories and reset the cells, except those that another sweep has trained or begun."""
    for member in (member for pack in plan.packs for member in pack.members):
        still_wanted = partial(_still_wanted, member.cell, rerun)
        member.cell.plan(still_wanted, afresh=rerun == "all", **member.forecast)


def _still_wanted(cell: Cell, rerun: str) -> bool:
    return bool(select([cell], survey([cell]), rerun)) and not trained_elsewhere(cell)


def _follow(handles: Sequence[Handle], show: bool) -> None:
    """Wait until all packs have ended, and show their progress."""

    def ended() -> bool:
        return all(handle.wait(POLL_S) for handle in handles)

    if not show:
        while not ended():
            continue
        return
    with Watch([cell for handle in handles for cell in handle.cells]) as watch:
        while not ended():
            watch.update()


def _tally(observations: Sequence[Observation]) -> str:
    failed = sum(observation.state == FAILED for observation in observations)
    done = f"{sum(observation.state == DONE for observation in observations)} of {len(observations)} cells are done"
    return f"{done}, {failed} failed (rerun=failed tries these again)" if failed else done


def _refuse_failures(observations: Sequence[Observation]) -> None:
    failed = sum(observation.state == FAILED for observation in observations)
    if failed:
        raise SweepFailed(
            f"{failed} of {len(observations)} cells failed; the causes are above and in their status.json. "
            "rerun=failed trains them again."
        )
