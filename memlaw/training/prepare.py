"""Makes a planned cell ready to train: builds its memory with the base model's tokenizer, and its schedule."""

from memlaw.core.errors import ConfigError
from memlaw.data.memory import Memory
from memlaw.methods.schedule import schedule_of
from memlaw.models.base import BaseModel, known_ids, positions
from memlaw.planning.resolved import ResolvedCell, resolve
from memlaw.study.cell import Cell
from memlaw.tracking.tracker import Tracker
from memlaw.training.checkpoint import check_origin
from memlaw.training.live_cell import LiveCell


def prepare(cell: Cell, base: BaseModel, tracker: Tracker) -> LiveCell:
    """Make a cell ready to train, and open its run. The result has no reference to the base model.

    Raises:
        ConfigError: its memory cannot be built, or does not fit the model.
        CellError: it has a checkpoint of another model or memory.
    """
    resolved, tokenizer = resolve(cell), base.tokenizer
    memory = build_memory(resolved, base)
    check_origin(cell.paths.checkpoint, base.fingerprint, memory.fingerprint)
    method = resolved.method.on(len(memory.pairs))
    return LiveCell(
        cell=cell,
        memory=memory,
        method=method,
        spec=resolved.spec,
        schedule=schedule_of(cell.config, len(memory.pairs), method.curriculum),
        tracker=tracker.start(cell),
        decode=lambda token_id: str(tokenizer.decode([token_id])),
    )


def build_memory(resolved: ResolvedCell, base: BaseModel) -> Memory:
    """Build a cell's memory from its data source.

    Raises:
        ConfigError: it cannot be built, has tokens that the model lacks, or is too long for the model.
    """
    c, known = resolved.cell.config, known_ids(base.model)
    memory = resolved.data.build(base.tokenizer, c.seq_len, c.seed, known)
    _refuse_unknown(memory, base, known)
    longest = memory.row_tokens
    allowed = positions(base.model.config)
    if longest > allowed:
        raise ConfigError(
            f"seq_len={c.seq_len}: query and target take {longest} tokens; {c.model.name} has {allowed} positions"
        )
    return memory


def _refuse_unknown(memory: Memory, base: BaseModel, known: int) -> None:
    """Raise ConfigError, naming the first, for tokens that were added to the tokenizer but not to the model."""
    for number, pair in enumerate(memory.pairs, start=1):
        for part, ids in (("query", pair.query_ids), ("target", pair.target_ids)):
            unknown = next((token_id for token_id in ids if token_id >= known), None)
            if unknown is not None:
                token = base.tokenizer.convert_ids_to_tokens(unknown)
                off = " or set data.chat_template=off" if part == "query" else ""
                raise ConfigError(
                    f"data: the {part} of pair {number} has the token {token!r} with id {unknown}, "
                    f"and the model has only ids below {known}; leave it out{off}"
                )
