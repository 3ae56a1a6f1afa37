"""From a grid of cells to trained cells: choose what is missing, check it, pack it, run it, show it."""

import logging
from collections.abc import Sequence
from functools import partial

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from memlaw.cell import Cell
from memlaw.errors import ConfigError, SweepFailed
from memlaw.heartbeat import DEAD, observed_state, trained_elsewhere
from memlaw.keys import TRAINING_SETTINGS
from memlaw.runner import Runner
from memlaw.status_file import DONE, FAILED, UNREADABLE
from memlaw.survey import survey
from memlaw.tables import count, print_plan, print_study

log = logging.getLogger(__name__)

RERUN = {
    "missing": lambda state: state not in (DONE, FAILED),
    "failed": lambda state: state != DONE,
    "stale": lambda state: state in (DEAD, UNREADABLE),
    "all": lambda state: True,
}
"""`rerun` → whether a cell in the given state (`memlaw.heartbeat.observed_state`) is trained."""


def run_sweep(cells: Sequence[Cell], cfg: DictConfig, runner: Runner) -> None:
    """Train the cells that the study lacks and print the table of all of them; or queue them, and print nothing.

    Args:
        cells: the grid.
        cfg: a composed config, for its operational settings.
        runner: trains packs.

    Raises:
        ConfigError: before anything is trained, when the configuration is impossible.
        SweepFailed: after everything, when cells failed.
    """
    awaited = select(cells, cfg.rerun)
    queued = runner.queued(awaited)
    if queued:
        log.info("%s queued already, and left to these jobs", count(len(queued), "cell"))
    wanted = [cell for cell in awaited if cell.paths.directory not in queued]
    for cell in cells:
        if cell.paths.config.exists():
            Cell.load(cell.paths.directory)
    if wanted:
        from memlaw.planning import make_plan  # imports torch, which a sweep with nothing to do need not wait for

        machine = runner.machine(cfg)
        plan = make_plan(wanted, cfg, machine)
        settings = OmegaConf.masked_copy(cfg, list(TRAINING_SETTINGS))
        service = instantiate(cfg.logger)
        settings.logger.mode = service.mode  # jobs elsewhere do as this process would
        if cfg.dry_run:
            print_plan(survey(cells), plan, machine.workers)
            runner.rehearse(plan, settings)
            return
        forecast = plan.forecast()
        for cell in wanted:
            still_wanted = partial(_still_wanted, cell, cfg.rerun)  # others may have trained it meanwhile
            cell.plan(still_wanted, afresh=cfg.rerun == "all", **forecast[cell.name])
        hint = service.hint(cells[0].study)
        if hint:
            log.info(hint)
        log.info(
            "%s to train in %s, into %s", count(len(wanted), "cell"), count(len(plan.packs), "pack"), cells[0].study
        )
        runner.run(plan, settings)
    elif not queued:
        log.info("Nothing to train: %s.", _tally(cells))
    if awaited and (cfg.dry_run or not runner.follow(awaited, cfg)):
        return
    seen = survey(cells)
    print_study(seen)
    left_behind = wanted and service.left_behind(cells[0].study)
    if left_behind:
        log.warning(left_behind)
    failed = [observation for observation in seen if observation.state == FAILED]
    if failed:
        raise SweepFailed(
            f"{len(failed)} of {len(cells)} cells failed; the causes are above and in their status.json. "
            "rerun=failed trains them again."
        )
    left = [cell for cell in awaited if not cell.status.ended]
    if left:
        runner.account_for(left)


def _tally(cells: Sequence[Cell]) -> str:
    failed = sum(cell.state == FAILED for cell in cells)
    done = f"{sum(cell.state == DONE for cell in cells)} of {len(cells)} cells are done"
    return f"{done}, {failed} failed (rerun=failed tries these again)" if failed else done


def _still_wanted(cell: Cell, rerun: str) -> bool:
    return bool(select([cell], rerun)) and not trained_elsewhere(cell)


def select(cells: Sequence[Cell], rerun: str) -> list[Cell]:
    """The distinct cells that `rerun` asks for: those in some states, or the one of that name or hash.

    Raises:
        ConfigError: it is neither a policy of `RERUN` nor one of the cells.
    """
    distinct = {cell.paths.directory: cell for cell in cells}.values()
    if str(rerun) in RERUN:
        return [cell for cell in distinct if RERUN[str(rerun)](observed_state(cell.paths, cell.status))]
    named = [cell for cell in distinct if str(rerun) in (cell.name, cell.hash)]
    if not named:
        raise ConfigError(f"rerun={rerun} is not one of {', '.join(RERUN)}, nor the name or hash of a cell of the grid")
    return named
