"""What cells look like on disk at one moment. Each status is read once, and nothing is written."""

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
"""Every state that a cell can be found in."""


class NoStudy(ValueError):
    """There is no such study, or no such cell in it; the message says what there is."""


@dataclass(frozen=True)
class Observation:
    """One cell at one moment.

    Attributes:
        name: of its directory.
        cell: the cell; None when its config cannot be read.
        status: the content of its `status.json`, `cause` in it when it failed or is unreadable.
        state: one of `STATES`.
    """

    name: str
    cell: Cell | None
    status: Status
    state: str

    @cached_property
    def result(self) -> dict[str, Any]:
        """The flat row of a done cell; read when it is first asked for."""
        assert self.cell and self.state == DONE
        return read_result(self.cell.paths.directory)


def survey(cells: Iterable[Cell]) -> list[Observation]:
    """Look at each of the cells once, in their order."""
    return [_observation(cell.paths, cell) for cell in cells]


Load = Callable[[Path], Cell]


def cached_load() -> Load:
    """`Cell.load` that reads a directory once; a cell's config never changes."""
    return lru_cache(maxsize=None)(Cell.load)


def survey_study(study: Path, load: Load = Cell.load) -> list[Observation]:
    """Look at every cell of a study once, by name.

    Raises:
        NoStudy: it is no directory or holds no cell.
    """
    directories = {path.parent for name in ("config.yaml", "status.json") for path in study.glob(f"[!.]*/{name}")}
    if not directories:
        what = "holds no cell" if study.is_dir() else "is no directory"
        raise NoStudy(f"{study} {what}; a study is what `python -m memlaw.train` leaves in runs/<study>")
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
    """Find the name that is `wanted`, or ends in this hash, or has it as a part.

    Raises:
        NoStudy: none has, or several have.
    """
    exact = [name for name in names if wanted in (name, name.rpartition("-")[2])]
    matching = exact or [name for name in names if wanted in name]
    if len(matching) == 1:
        return matching[0]
    if not matching:
        raise NoStudy(f"{wanted} is in the name of none of the {len(names)} cells, such as {names[0]}")
    more = f" and {len(matching) - 3} more" if len(matching) > 3 else ""
    raise NoStudy(f"{wanted} is in the names of {len(matching)} cells: {', '.join(matching[:3])}{more}")
