"""Train a pack: cells that share one frozen base model and one training loop. A single cell is a pack of one."""

import gc
import json
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import groupby

import torch
from filelock import Timeout
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from memlaw.base_model import BaseModel, positions, resolve_device, resolve_precision
from memlaw.cell import Cell
from memlaw.checkpoint import check_origin, step_of
from memlaw.data.memory import DataSource, Memory
from memlaw.data.tokens import loop_shape
from memlaw.errors import CellError, ConfigError, is_out_of_memory
from memlaw.fit import Member, fit
from memlaw.heartbeat import beating, trained_elsewhere
from memlaw.memft import Method, method_of
from memlaw.records import read_results
from memlaw.soundness import length_matters
from memlaw.status_file import DONE, RUNNING
from memlaw.tracking.tracker import Tracker

log = logging.getLogger(__name__)


def train_pack(cells: Sequence[Cell], settings: DictConfig) -> None:
    """Train cells that `memlaw.packing.pack_key` puts together.

    Outcomes are in the cells' directories: a failure fails only the cells that it concerns and is not
    raised. Cells that another process is training, or has finished since they were planned, are left to it; that
    process is known by the lock that it holds or, on another machine, by its heartbeat.

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
                _train(mine, settings)
        except Exception as error:  # any cause: the sweep goes on with the other packs
            for cell in mine:
                if not cell.status.ended:
                    cell.fail(error)


def _locked(cell: Cell, locks: ExitStack) -> bool:
    try:
        locks.enter_context(cell.lock().acquire(timeout=0))
    except Timeout:
        log.warning("%s is being trained by another process; left to it", cell.name)
        return False
    if trained_elsewhere(cell):
        log.warning("%s is being trained on %s; left to it", cell.name, cell.status.host)
        return False
    return True


_loaded: dict[tuple[str, torch.dtype, torch.device], BaseModel] = {}
"""The base model of the pack before; a warm worker keeps it for its next pack."""


def _base_model(config: DictConfig, dtype: torch.dtype, device: torch.device) -> BaseModel:
    key = (json.dumps(OmegaConf.to_container(config)), dtype, device)
    if key not in _loaded:
        _loaded.clear()  # before the next one is loaded: two may not fit
        _loaded[key] = instantiate(config, _convert_="all").load(dtype, device)
    return _loaded[key]


def _train(cells: list[Cell], settings: DictConfig) -> None:
    if not cells:
        return
    config = cells[0].config
    device = resolve_device(settings.trainer.device)
    dtype = resolve_precision(config.precision, device)
    tracker = Tracker(instantiate(settings.logger))
    load = partial(_base_model, config.model, dtype, device)  # held by nobody else: a failed loop drops it
    _refuse_other_weights(cells[0], load())
    prepared = _prepared(cells, load())
    lengths = {memory.row_tokens for _, _, memory, _ in prepared}
    apart = len(lengths) > 1 and length_matters(load().model, max(lengths))

    def alike(item: tuple[tuple[int, int], Cell, Memory, Method]) -> tuple[tuple[int, int], int]:
        """Cells whose tables differ in pairs may differ in rows per step or steps per epoch; train these in turn."""
        shape, _, memory, _ = item
        return shape, memory.row_tokens if apart else 0  # no cell's rows get longer for another's

    for ((rows, steps), _), group in groupby(sorted(prepared, key=alike), key=alike):
        members = [Member(cell, memory, method, rows, steps, tracker.start(cell)) for _, cell, memory, method in group]
        _fit_in_step(members, load, settings)
    tracker.drain()


def _refuse_other_weights(cell: Cell, base: BaseModel) -> None:
    """Keep cells of two base models that go by one name out of one study.

    Raises:
        CellError: finished cells of the study had other weights under the same config, dtype and kind of device.
    """
    study = read_results(cell.study)
    own = {name: value for name, value in cell.flat.items() if name.startswith("model.")}
    own["dtype"] = str(base.model.dtype).removeprefix("torch.")
    for row in study.to_dict("records"):
        same = all(row.get(name) == value for name, value in own.items())
        same_device = str(row.get("device")).split(":")[0] == base.device.type
        if same and same_device and row.get("model_fingerprint") not in (None, base.fingerprint):
            raise CellError(
                f"the weights of model {cell.config.model.name} changed since {row['cell']} was trained (fingerprint "
                f"{row['model_fingerprint']}, now {base.fingerprint}); bring them back or choose another study"
            )


def _prepared(cells: list[Cell], base: BaseModel) -> list[tuple[tuple[int, int], Cell, Memory, Method]]:
    """Each cell with its memory, its method and its loop's shape; a cell whose memory cannot be built fails."""
    prepared = []
    for cell in cells:
        try:
            memory = _memory(cell, base)
            check_origin(cell.paths.checkpoint, base.fingerprint, memory.fingerprint)
            method = method_of(cell.config, len(memory.pairs))
            shape = loop_shape(cell.config, len(memory.pairs), method.curriculum)
            prepared.append((shape, cell, memory, method))
        except Exception as error:  # what befalls this cell is its alone
            cell.fail(error)
    return prepared


def _fit_in_step(members: Sequence[Member], load: Callable[[], BaseModel], settings: DictConfig) -> None:
    """Train cells whose checkpoints are of the same step together."""

    def step(member: Member) -> int:
        return step_of(member.cell.paths.checkpoint)

    for _, group in groupby(sorted(members, key=step), key=step):
        _fit_or_halve(list(group), load, settings)


def _fit_or_halve(members: list[Member], load: Callable[[], BaseModel], settings: DictConfig) -> None:
    """Train together; where the memory does not suffice, train one half after the other."""
    try:
        fit(members, load(), settings)
        return
    except Exception as error:  # what befalls these cells is theirs alone
        _loaded.clear()  # a loop that broke off may have left weights anywhere
        members = [member for member in members if not member.cell.status.ended]
        if len(members) < 2 or not is_out_of_memory(error):
            for member in members:
                member.cell.fail(error)
                member.tracker.fail()
            return
        log.warning("out of memory with %d cells in a pack; halving it: %s", len(members), str(error))
    gc.collect()  # what the failed loop held, now that its traceback is gone
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    for member in members:
        member.cell.set_status(RUNNING, step=0, total_steps=member.total_steps)
    middle = (len(members) + 1) // 2
    for half in (members[:middle], members[middle:]):
        _fit_in_step(half, load, settings)


def _memory(cell: Cell, base: BaseModel) -> Memory:
    c = cell.config
    source: DataSource = instantiate(c.data, _convert_="all")
    known_ids = _known_ids(base)
    memory = source.build(base.tokenizer, c.seq_len, c.seed, known_ids)
    _refuse_unknown(memory, base, known_ids)
    longest = memory.row_tokens
    allowed = positions(base.model.config)
    if longest > allowed:
        raise ConfigError(
            f"seq_len={c.seq_len}: query and target take {longest} tokens; {c.model.name} has {allowed} positions"
        )
    return memory


def _known_ids(base: BaseModel) -> int:
    """How many token ids the model has rows for, to read them and to score them."""
    ends = (base.model.get_input_embeddings(), base.model.get_output_embeddings())
    weights = [getattr(end, "weight", None) for end in ends]
    return min((weight.shape[0] for weight in weights if weight is not None), default=sys.maxsize)


def _refuse_unknown(memory: Memory, base: BaseModel, known_ids: int) -> None:
    """Refuse tokens that were added to the tokenizer and not to the model. Raises ConfigError naming the first."""
    for number, pair in enumerate(memory.pairs, start=1):
        for part, ids in (("query", pair.query_ids), ("target", pair.target_ids)):
            unknown = next((token_id for token_id in ids if token_id >= known_ids), None)
            if unknown is not None:
                token = base.tokenizer.convert_ids_to_tokens(unknown)
                off = " or set data.chat_template=off" if part == "query" else ""
                raise ConfigError(
                    f"data: the {part} of pair {number} has the token {token!r} with id {unknown}, "
                    f"and the model knows ids below {known_ids} only; leave it out{off}"
                )
