"""From a grid of cells to trained cells: choose what is missing, check it, pack it, run it, show it."""

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from memlaw.cell import DONE, FAILED, Cell
from memlaw.errors import ConfigError, SweepFailed
from memlaw.heartbeat import DEAD, observed_state
from memlaw.status_file import UNREADABLE
from memlaw.tables import count, print_plan, print_study
from memlaw.tracking import resolve_mode

if TYPE_CHECKING:
    from memlaw.plan import Plan

log = logging.getLogger(__name__)

RERUN = {
    "missing": lambda state: state not in (DONE, FAILED),
    "failed": lambda state: state != DONE,
    "stale": lambda state: state in (DEAD, UNREADABLE),
    "all": lambda state: True,
}
"""`rerun` → whether a cell in the given state (`memlaw.heartbeat.observed_state`) is trained."""

SETTINGS = ("trainer", "logger")
"""Operational config groups that training itself reads."""

RunPlan = Callable[["Plan", DictConfig], None]


def run_sweep(
    cells: Sequence[Cell], cfg: DictConfig, run_plan: RunPlan, workers: Callable[[], int] = lambda: 1
) -> None:
    """Train the cells that the study lacks and print the table of all of them.

    Args:
        cells: the grid.
        cfg: a composed config, for its operational settings.
        run_plan: trains packs, given the plan and the settings for `memlaw.pack.train_pack`; outcomes are in
            the cells' directories.
        workers: says how many packs it trains at a time on this machine.

    Raises:
        ConfigError: before anything is trained, when the configuration is impossible.
        SweepFailed: after everything, when cells failed.
    """
    wanted = select(cells, cfg.rerun)
    for cell in cells:
        if cell.paths.config.exists():
            Cell.load(cell.paths.directory)
    if wanted:
        from memlaw.plan import make_plan  # imports torch, which a sweep with nothing to do need not wait for

        count_of_workers = workers()
        plan = make_plan(wanted, cfg, count_of_workers)
        if cfg.dry_run:
            print_plan(cells, plan, count_of_workers)
            return
        for cell in select(wanted, cfg.rerun):  # others may have trained some meanwhile
            cell.plan()
        settings = OmegaConf.masked_copy(cfg, list(SETTINGS))
        settings.logger.mode = resolve_mode(cfg.logger.mode)
        if settings.logger.mode == "offline":
            log.info("W&B offline (no credentials, or told so): runs are kept in %s", cells[0].study / "wandb")
        log.info(
            "%s to train in %s, into %s", count(len(wanted), "cell"), count(len(plan.packs), "pack"), cells[0].study
        )
        run_plan(plan, settings)
        left = [cell for cell in wanted if cell.state not in (DONE, FAILED)]
        if left:
            log.warning("%s left to another process that is training the same study", count(len(left), "cell"))
    else:
        log.info("Nothing to train: %s.", _tally(cells))
    print_study(cells)
    failed = [cell for cell in cells if cell.state == FAILED]
    if failed:
        raise SweepFailed(
            f"{len(failed)} of {len(cells)} cells failed; the causes are above and in their status.json. "
            "rerun=failed trains them again."
        )


def _tally(cells: Sequence[Cell]) -> str:
    failed = sum(cell.state == FAILED for cell in cells)
    done = f"{sum(cell.state == DONE for cell in cells)} of {len(cells)} cells are done"
    return f"{done}, {failed} failed (rerun=failed tries these again)" if failed else done


def select(cells: Sequence[Cell], rerun: str | int) -> list[Cell]:
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
