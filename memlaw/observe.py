"""A study as it is found on disk at one moment. Reads only; needs neither torch nor a lock."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from memlaw.cell import Cell
from memlaw.cell_paths import CellPaths
from memlaw.errors import ConfigError
from memlaw.heartbeat import DEAD, observed_state
from memlaw.status_file import DONE, FAILED, PENDING, RUNNING, UNREADABLE, Status, read_status

STATES = (DONE, RUNNING, PENDING, FAILED, DEAD, UNREADABLE)
"""Every state that a cell can be found in."""


class NoStudy(ValueError):
    """There is no such study, or no such cell in it; the message says what there is."""


@dataclass(frozen=True)
class Observation:
    """One cell.

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

    def result(self) -> dict[str, Any]:
        """The flat row of a finished cell."""
        assert self.cell and self.state == DONE
        return json.loads(self.cell.paths.result.read_text(encoding="utf-8"))


Load = Callable[[Path], Cell]


def cached_load() -> Load:
    """`Cell.load` that reads a directory once; a cell's config never changes."""
    return lru_cache(maxsize=None)(Cell.load)


def observe(study: Path, load: Load = Cell.load) -> list[Observation]:
    """Every cell of a study, by name.

    Raises:
        NoStudy: it is no directory or holds no cell.
    """
    found = {path.parent for name in ("config.yaml", "status.json") for path in study.glob(f"[!.]*/{name}")}
    if not found:
        what = "holds no cell" if study.is_dir() else "is no directory"
        raise NoStudy(f"{study} {what}; a study is what `python -m memlaw.train` leaves in runs/<study>")
    return [_observation(directory, load) for directory in sorted(found)]


def _observation(directory: Path, load: Load) -> Observation:
    paths = CellPaths(directory)
    status = read_status(paths.status)
    try:
        return Observation(directory.name, load(directory), status, observed_state(paths, status))
    except ConfigError as error:
        return Observation(directory.name, None, replace(status, cause=str(error)), UNREADABLE)


def find_cell(names: Sequence[str], wanted: str) -> str:
    """The one name that is `wanted`, or ends in this hash, or has it as a part.

    Raises:
        NoStudy: none has, or several have.
    """
    exact = [name for name in names if wanted in (name, name.rpartition("-")[2])]
    found = exact or [name for name in names if wanted in name]
    if len(found) == 1:
        return found[0]
    if not found:
        raise NoStudy(f"{wanted} is in the name of none of the {len(names)} cells, such as {names[0]}")
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    raise NoStudy(f"{wanted} is in the names of {len(found)} cells: {', '.join(found[:3])}{more}")
