"""Trains a pack: cells that share one frozen base model. A single cell is a pack of one."""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import groupby
from typing import Any

import torch
from filelock import Timeout
from omegaconf import DictConfig

from memlaw.config.instantiation import instantiate_checked
from memlaw.core.errors import CellError, is_out_of_memory
from memlaw.methods.schedule import Schedule
from memlaw.models.base import BaseModel
from memlaw.models.cache import BaseModelCache
from memlaw.models.devices import resolve_device, resolve_precision
from memlaw.models.sources import ModelSource
from memlaw.planning.soundness import length_matters
from memlaw.study.cell import Cell
from memlaw.study.liveness import beating, trained_elsewhere
from memlaw.study.records import read_results
from memlaw.study.status import DONE
from memlaw.tracking.tracker import Tracker
from memlaw.training.fit import fit
from memlaw.training.live_cell import LiveCell
from memlaw.training.prepare import prepare

log = logging.getLogger(__name__)

BASE_MODELS = BaseModelCache()
"""The cache of this process. A warm worker trains many packs, mostly on the same base model."""


def train_pack(cells: Sequence[Cell], settings: DictConfig) -> None:
    """Train the cells of a pack, which have the same `memlaw.planning.packing.pack_key`.

    The outcomes are in the cells' directories. A failure fails only its own cells and is not raised. Cells that another
    process trains, or has finished since they were planned, are skipped. The cell's lock or, on another machine, the
    heartbeat tells of that process.

    Args:
        cells: planned cells of one pack.
        settings: the operational config: `trainer`, `logger` and `checkpoint`.
    """
    with ExitStack() as locks:
        mine = [cell for cell in cells if _locked(cell, locks) and cell.state != DONE]
        try:
            for cell in mine:
                cell.start()
            with beating(mine):
                if mine:
                    _PackTraining(mine, settings).run()
        except Exception as error:  # fail these cells only: the sweep goes on with the other packs
            for cell in mine:
                if not cell.status.ended:
                    cell.fail(error)


def _locked(cell: Cell, locks: ExitStack) -> bool:
    try:
        locks.enter_context(cell.lock().acquire(timeout=0))
    except Timeout:
        log.warning("%s is skipped: another process trains it", cell.name)
        return False
    if trained_elsewhere(cell):
        log.warning("%s is skipped: it is being trained on %s", cell.name, cell.status.host)
        return False
    return True


class _PackTraining:
    """Trains cells of one base model, together as far as their shapes and the RAM allow.

    It has no reference to the base model, so that a failed loop can free its RAM.
    """

    def __init__(self, cells: Sequence[Cell], settings: DictConfig):
        self.cells = cells
        self.settings = settings
        self.source: ModelSource = instantiate_checked(cells[0].config.model)
        self.device = resolve_device(settings.trainer.device)
        self.dtype = resolve_precision(cells[0].config.precision, self.device)
        self.tracker = Tracker(instantiate_checked(settings.logger))

    def base(self) -> BaseModel:
        """Load the cells' base model, or get it from the cache."""
        return BASE_MODELS.load(self.source, self.dtype, self.device)

    def run(self) -> None:
        """Train all cells that can be prepared; fail the others."""
        refuse_other_weights(self.cells[0], self.base())
        live_cells = self._prepared()
        lengths = {live.memory.row_tokens for live in live_cells}
        # Keep the rows of a cell from getting longer in a pack, if that changes its numbers.
        separate = len(lengths) > 1 and length_matters(self.base().model, max(lengths))

        def shape(live: LiveCell) -> tuple[Schedule, int]:
            return live.schedule, live.memory.row_tokens if separate else 0

        for group in _grouped(live_cells, shape):
            self._fit_in_step(group)
        self.tracker.drain()

    def _prepared(self) -> list[LiveCell]:
        live_cells = []
        for cell in self.cells:
            try:
                live_cells.append(prepare(cell, self.base(), self.tracker))
            except Exception as error:  # fail this cell only; the others go on
                cell.fail(error)
        return live_cells

    def _fit_in_step(self, cells: Sequence[LiveCell]) -> None:
        """Train cells together whose checkpoints are of the same step."""
        for group in _grouped(cells, LiveCell.saved_step):
            self._fit_or_halve(group)

    def _fit_or_halve(self, cells: Sequence[LiveCell]) -> None:
        """Train cells together; if the RAM does not suffice, train one half after the other."""
        try:
            fit(cells, self.base(), self.settings, self.tracker)
            return
        except Exception as error:  # fail these cells only; the other groups go on
            BASE_MODELS.clear()
            left = [live for live in cells if not live.ended]
            if len(left) < 2 or not is_out_of_memory(error):
                for live in left:
                    live.fail(error)
                return
            log.warning("out of RAM with %d cells in a pack; halving it: %s", len(left), str(error))
        gc.collect()  # free the RAM of the failed loop, now that its traceback is gone
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        for live in left:
            live.show_waiting()
        middle = (len(left) + 1) // 2
        for half in (left[:middle], left[middle:]):
            self._fit_in_step(half)


def refuse_other_weights(cell: Cell, base: BaseModel) -> None:
    """Refuse to mix cells of different base models under one name in a study.

    Raises:
        CellError: finished cells of the study had other weights with the same config, dtype and kind of device.
    """
    model = {name: value for name, value in cell.flat.items() if name.startswith("model.")}
    model["dtype"] = str(base.model.dtype).removeprefix("torch.")
    for row in read_results(cell.study).to_dict("records"):
        same = all(row.get(name) == value for name, value in model.items())
        same_device = str(row.get("device")).split(":")[0] == base.device.type
        if same and same_device and row.get("model_fingerprint") not in (None, base.fingerprint):
            raise CellError(
                f"the weights of model {cell.config.model.name} changed since {row['cell']} was trained (fingerprint "
                f"{row['model_fingerprint']}, now {base.fingerprint}); restore the weights or choose another study"
            )


def _grouped(cells: Sequence[LiveCell], key: Callable[[LiveCell], Any]) -> list[list[LiveCell]]:
    """Split cells into groups of equal keys, in the keys' order."""
    return [list(group) for _, group in groupby(sorted(cells, key=key), key=key)]
