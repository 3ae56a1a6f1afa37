"""From a grid of cells to trained cells: choose what is missing, check it, pack it, run it, show it."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from memlaw.backends.backend import Backend, Handle
from memlaw.cell import Cell
from memlaw.errors import ConfigError, SweepFailed
from memlaw.heartbeat import DEAD, trained_elsewhere
from memlaw.keys import TRAINING_SETTINGS
from memlaw.progress import Watch
from memlaw.status_file import DONE, FAILED, UNREADABLE
from memlaw.survey import Observation, survey
from memlaw.tables import count, print_plan, print_study

if TYPE_CHECKING:
    from memlaw.planning import Plan

log = logging.getLogger(__name__)

RERUN = {
    "missing": lambda state: state not in (DONE, FAILED),
    "failed": lambda state: state != DONE,
    "stale": lambda state: state in (DEAD, UNREADABLE),
    "all": lambda state: True,
}
"""`rerun` → whether a cell that is found in a state (`memlaw.survey.STATES`) is trained."""

POLL_S = 1.0
"""Seconds between two looks at cells that train."""


def run_sweep(cells: Sequence[Cell], cfg: DictConfig, backend: Backend) -> None:
    """Train the cells that the study lacks and print the table of all; or queue them, and print nothing.

    Args:
        cells: the grid.
        cfg: a composed config, for its operational settings.
        backend: where packs run.

    Raises:
        ConfigError: before anything is trained, when the configuration is impossible.
        SweepFailed: after everything, when cells failed or were left unfinished.
    """
    before = survey(cells)
    wanted = select(cells, before, cfg.rerun)
    earlier = backend.attach(wanted)
    queued = {cell.name for cell in earlier.cells}
    missing = [cell for cell in wanted if cell.name not in queued]
    _refuse_edited_configs(cells)
    if queued:
        log.info("%s queued already, and left to these jobs", count(len(queued), "cell"))
    if not missing and not queued:
        log.info("Nothing to train: %s.", _tally(before))
    tracking: Any = instantiate(cfg.logger) if missing else None
    with ExitStack() as running:
        handles = [earlier]
        if missing:
            from memlaw.planning import make_plan  # imports torch, which a sweep with nothing to do need not wait for

            machine = backend.machine(cfg)
            plan = make_plan(missing, cfg, machine)
            settings = _training_settings(cfg, tracking)
            if cfg.dry_run:
                print_plan(before, plan, machine.workers)
                print(backend.rehearse(plan, settings), end="")
                return
            _write_plan(plan, cfg.rerun)
            if hint := tracking.hint(cells[0].study):
                log.info(hint)
            amount = count(len(missing), "cell"), count(len(plan.packs), "pack")
            log.info("%s to train in %s, into %s", *amount, cells[0].study)
            handles.append(running.enter_context(backend.submit(plan, settings)))
        if wanted and (cfg.dry_run or not backend.waits):
            return
        _follow(handles, show=not backend.prints)
    after = survey(cells)
    print_study(after)
    if tracking and (left_behind := tracking.left_behind(cells[0].study)):
        log.warning(left_behind)
    _refuse_failures(after)
    names = {cell.name for cell in wanted}
    if unfinished := [one for one in after if one.name in names and not one.status.ended]:
        backend.account_for(unfinished, cells[0].study)


def select(cells: Sequence[Cell], seen: Sequence[Observation], rerun: str) -> list[Cell]:
    """Choose the distinct cells that `rerun` asks for: those in some states, or the one of that name or hash.

    Args:
        cells: the grid.
        seen: `memlaw.survey.survey` of these cells.
        rerun: a policy of `RERUN`, or the name or hash of a cell.

    Raises:
        ConfigError: it is neither a policy nor one of the cells.
    """
    distinct = {cell.name: (cell, one.state) for cell, one in zip(cells, seen, strict=True)}.values()
    if str(rerun) in RERUN:
        return [cell for cell, state in distinct if RERUN[str(rerun)](state)]
    named = [cell for cell, _ in distinct if str(rerun) in (cell.name, cell.hash)]
    if not named:
        raise ConfigError(f"rerun={rerun} is not one of {', '.join(RERUN)}, nor the name or hash of a cell of the grid")
    return named


def _refuse_edited_configs(cells: Sequence[Cell]) -> None:
    """Raise ConfigError where a cell's directory holds another config than the cell's."""
    for cell in cells:
        if cell.paths.config.exists():
            Cell.load(cell.paths.directory)


def _training_settings(cfg: DictConfig, tracking: Any) -> DictConfig:
    """Cut out what the training of a pack reads; jobs elsewhere track as this process would."""
    settings = OmegaConf.masked_copy(cfg, list(TRAINING_SETTINGS))
    settings.logger.mode = tracking.mode
    return settings


def _write_plan(plan: "Plan", rerun: str) -> None:
    """Create the cells' directories. Leave those alone that others have trained or begun meanwhile."""
    forecast = plan.forecast()
    for cell in (cell for pack in plan.packs for cell in pack.cells):
        cell.plan(partial(_still_wanted, cell, rerun), afresh=rerun == "all", **forecast[cell.name])


def _still_wanted(cell: Cell, rerun: str) -> bool:
    return bool(select([cell], survey([cell]), rerun)) and not trained_elsewhere(cell)


def _follow(handles: Sequence[Handle], show: bool) -> None:
    """Wait until all packs have ended, and show how far they are."""

    def ended() -> bool:
        return all(handle.wait(POLL_S) for handle in handles)

    if not show:
        while not ended():
            continue
        return
    with Watch([cell for handle in handles for cell in handle.cells]) as watch:
        while not ended():
            watch.update()


def _tally(seen: Sequence[Observation]) -> str:
    failed = sum(one.state == FAILED for one in seen)
    done = f"{sum(one.state == DONE for one in seen)} of {len(seen)} cells are done"
    return f"{done}, {failed} failed (rerun=failed tries these again)" if failed else done


def _refuse_failures(seen: Sequence[Observation]) -> None:
    failed = sum(one.state == FAILED for one in seen)
    if failed:
        raise SweepFailed(
            f"{failed} of {len(seen)} cells failed; the causes are above and in their status.json. "
            "rerun=failed trains them again."
        )
