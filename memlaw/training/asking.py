"""Asks finished cells to write their memories from the queries, and to score a held-out text."""

import logging
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from memlaw.data.memory import Memory
from memlaw.training.live_cell import Answers, LiveCell
from memlaw.training.recall import Recaller
from memlaw.training.side_effects import SideEffects

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Questions:
    """Asks finished cells of a training pack.

    Attributes:
        recaller: lets them write their memories; None: not asked.
        side_effects: scores them on a held-out text; None: not asked.
    """

    recaller: Recaller | None
    side_effects: SideEffects | None

    def ask(self, cells: Mapping[int, LiveCell]) -> dict[int, Answers]:
        """Ask cells, given by their indices in the pack. When asking a cell fails, it ends without the answer."""
        written = ask_together(self.recaller, cells, "recall") if self.recaller else {}
        effects = ask_together(self.side_effects, cells, "side effects") if self.side_effects else {}
        return {n: Answers(written.get(n), effects.get(n, {})) for n in cells}


def ask_together(
    ask: Callable[[Mapping[int, Memory]], Sequence[T]], cells: Mapping[int, LiveCell], subject: str
) -> dict[int, T]:
    """Ask all cells at once; if that fails, ask each alone. A failure loses only the answer, never the cell.

    Args:
        ask: answers for each cell, given its memory by its index.
        cells: the cells, by index.
        subject: name of the answer in warnings.
    """
    if not cells:
        return {}
    try:
        return dict(zip(cells, ask({n: live.memory for n, live in cells.items()}), strict=True))
    except Exception as error:  # such as a lack of RAM for decoding
        if len(cells) == 1:
            (live,) = cells.values()
            log.warning("%s ends without %s: %s: %s", live.cell.name, subject, type(error).__name__, error)
            return {}
    alone = (ask_together(ask, {n: live}, subject) for n, live in cells.items())
    return dict(ChainMap(*alone))
