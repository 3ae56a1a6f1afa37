"""From a grid of cells to trained cells: choose what is missing, check it, pack it, run it, show it."""

import logging
from collections.abc import Callable, Sequence

import psutil
from omegaconf import DictConfig, OmegaConf

from memlaw.cell import DONE, FAILED, Cell
from memlaw.errors import ConfigError, SweepFailed
from memlaw.progress import print_study

log = logging.getLogger(__name__)

RERUN = {
    "missing": lambda state: state not in (DONE, FAILED),
    "failed": lambda state: state != DONE,
    "all": lambda state: True,
}
"""`rerun` → whether a cell in the given state is trained."""

SETTINGS = ("trainer", "logger")
"""Operational config groups that training itself reads."""

RunPacks = Callable[[list[list[Cell]], DictConfig], None]


def run_sweep(cells: Sequence[Cell], cfg: DictConfig, run_packs: RunPacks, workers: int = 1) -> None:
    """Train the cells that the study lacks and print the table of all of them.

    Args:
        cells: the grid.
        cfg: a composed config, for its operational settings.
        run_packs: trains packs, given them and the settings for `memlaw.pack.train_pack`; outcomes are in
            the cells' directories.
        workers: how many packs it trains at a time on this machine.

    Raises:
        ConfigError: before anything is trained, when the configuration is impossible.
        SweepFailed: after everything, when cells failed.
    """
    todo = select(cells, cfg.rerun)
    for cell in cells:
        if cell.paths.config.exists():
            Cell.load(cell.paths.directory)
    if todo:
        packs = pack(todo, cfg, workers)
        for cell in todo:
            cell.plan()
        log.info("%s to train in %s, into %s", _count(todo, "cell"), _count(packs, "pack"), cells[0].study)
        run_packs(packs, OmegaConf.masked_copy(cfg, list(SETTINGS)))
    else:
        log.info("Nothing to train: the study has all %d cells (rerun=failed or rerun=all overrides).", len(cells))
    print_study(cells)
    failed = [cell for cell in cells if cell.state == FAILED]
    if failed:
        raise SweepFailed(
            f"{len(failed)} of {len(cells)} cells failed; the causes are above and in their status.json. "
            "rerun=failed trains them again."
        )


def _count(things: Sequence[object], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def select(cells: Sequence[Cell], rerun: str) -> list[Cell]:
    """The distinct cells that `rerun` asks for. Raises ConfigError when it is no policy of `RERUN`."""
    if rerun not in RERUN:
        raise ConfigError(f"rerun={rerun} is not one of {', '.join(RERUN)}")
    distinct = {cell.name: cell for cell in cells}.values()
    return [cell for cell in distinct if RERUN[rerun](cell.state)]


def pack(cells: Sequence[Cell], cfg: DictConfig, workers: int) -> list[list[Cell]]:
    """Check the cells and group them into packs. Raises ConfigError naming what is impossible."""
    from memlaw import checks, packing

    checks.check_settings(cfg)
    for cell in cells:
        checks.check_cell(cell)
    resolved = {}
    sizes = []
    for cell in cells:
        c = cell.config
        key = packing.pack_key(cell)
        if key not in resolved:
            resolved[key] = checks.resolve_cell(cell)
        model, targets = resolved[key]
        text = model.get_text_config()
        all_rows, positions = checks.instantiate_checked(c.data).expected_shape(c.seq_len)
        sizes.append(
            packing.cell_bytes(
                packing.Sizes(
                    rows=min(c.batch_size, all_rows),
                    positions=positions,
                    all_rows=all_rows,
                    hidden=text.hidden_size,
                    intermediate=getattr(text, "intermediate_size", 4 * text.hidden_size),
                    suffix_layers=text.num_hidden_layers - min(target.layer for target in targets),
                    adapter_parameters=sum(c.lora.rank * (t.in_features + t.out_features) for t in targets),
                    value_bytes=4,
                )
            )
        )
    return packing.make_packs(cells, sizes, _budget_bytes(cfg, workers), cfg.pack.max_cells)


def _budget_bytes(cfg: DictConfig, workers: int) -> int:
    if cfg.pack.memory_gb != "auto":
        return int(cfg.pack.memory_gb * 1e9)
    import torch

    if torch.cuda.is_available() and cfg.trainer.device != "cpu":
        return int(0.8 * torch.cuda.get_device_properties(0).total_memory)
    return int(psutil.virtual_memory().available * 0.5 / workers)
