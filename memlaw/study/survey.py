"""Observe cells on disk at one moment. Each status is read once, and nothing is written."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from memlaw.core.errors import ConfigError
from memlaw.study.cell import Cell
from memlaw.study.layout import CellPaths
from memlaw.study.liveness import DEAD, observed_state
from memlaw.study.result import read_result
from memlaw.study.status import DONE, FAILED, PENDING, RUNNING, UNREADABLE, Status, read_status

STATES = (DONE, RUNNING, PENDING, FAILED, DEAD, UNREADABLE)
"""Every state that an observed cell can have."""


class NoStudy(ValueError):
    """There is no such study, or no such cell in it. The message names what there is."""


@dataclass(frozen=True)
class Observation:
    """A cell at one moment.

    Attributes:
        name: name of its directory.
        cell: the cell; None when its config cannot be read.
        status: the content of its `status.json`. `cause` is set when the cell failed or is unreadable.
        state: one of `STATES`.
    """

    name: str
    cell: Cell | None
    status: Status
    state: str

    @cached_property
    def result(self) -> dict[str, Any]:
        """Read the flat row of a done cell."""
        assert self.cell and self.state == DONE
        return read_result(self.cell.paths.directory)


def survey(cells: Iterable[Cell]) -> list[Observation]:
    """Observe each of the cells once, in their order."""
    return [_observation(cell.paths, cell) for cell in cells]


Load = Callable[[Path], Cell]


def cached_load() -> Load:
    """Return a `Cell.load` that reads each directory once, because a cell's config never changes."""
    return lru_cache(maxsize=None)(Cell.load)


def survey_study(study: Path, load: Load = Cell.load) -> list[Observation]:
    """Observe every cell of a study once, ordered by name.

    Args:
        study: directory of the study.
        load: reads a cell from its directory.

    Raises:
        NoStudy: it is no directory or holds no cell.
    """
    directories = {path.parent for name in ("config.yaml", "status.json") for path in study.glob(f"[!.]*/{name}")}
    if not directories:
        what = "holds no cell" if study.is_dir() else "is no directory"
        raise NoStudy(f"{study} {what}; `python -m memlaw.train` writes a study to runs/<study>")
    return [_observe(directory, load) for directory in sorted(directories)]


def _observe(directory: Path, load: Load) -> Observation:
    paths = CellPaths(directory)
    try:
        return _observation(paths, load(directory))
    except ConfigError as error:
        status = replace(read_status(paths.status), cause=str(error))
        return Observation(directory.name, None, status, UNREADABLE)


def _observation(paths: CellPaths, cell: Cell) -> Observation:
    status = read_status(paths.status)
    return Observation(paths.directory.name, cell, status, observed_state(paths, status))


def find_cell(names: Sequence[str], wanted: str) -> str:
    """Find the name that equals `wanted` or ends in this hash; if there is none, the name that contains it.

    Raises:
        NoStudy: no name matches, or several do.
    """
    exact = [name for name in names if wanted in (name, name.rpartition("-")[2])]
    matching = exact or [name for name in names if wanted in name]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise NoStudy(f"{wanted} is in the name of none of the {len(names)} cells, such as {names[0]}")
    more = f" and {len(matching) - 3} more" if len(matching) > 3 else ""
    raise NoStudy(f"{wanted} is in the names of {len(matching)} cells: {', '.join(matching[:3])}{more}")
