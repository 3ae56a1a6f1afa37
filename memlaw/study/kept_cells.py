"""Archive a study's cells in a file, `cells.zip`: their directories without adapters and checkpoints.

Analysis reads this file like the directories. `unzip` restores the directories.
"""

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from memlaw.core.files import AnyPath, atomic_path
from memlaw.study.status import DONE, Status, read_status

KEPT = "cells.zip"
"""The file's name in the directory of a study."""

_RECORDS = ("result.json", "tokens.parquet", "texts.json", "recall.json")
"""Files of a cell that are copied unchanged, where they exist."""

_TIME = (1980, 1, 1, 0, 0, 0)
"""Time of every entry, so that the same cells give the same file."""


def roots(study: Path) -> list[AnyPath]:
    """Return the roots below which a study's cells lie: its directory and, if there is one, its `cells.zip`.

    Raises:
        ValueError: `cells.zip` is not a zip file.
    """
    file = study / KEPT
    try:
        return [study, zipfile.Path(file)] if file.is_file() else [study]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def cell_directories(root: AnyPath) -> Iterator[AnyPath]:
    """Yield the directories below `root` that hold a cell, ordered by name."""
    below: Iterable[AnyPath] = root.iterdir() if root.is_dir() else ()
    for directory in sorted(below, key=str):
        if (directory / "status.json").is_file():
            yield directory


def study_cells(study: Path) -> list[AnyPath]:
    """Return the directory of each cell once, ordered by name.

    Of two with the same name, one on disk and one in `cells.zip`, a done cell wins, else the one on disk.

    Raises:
        ValueError: see `roots`.
    """
    cells: dict[str, AnyPath] = {}
    for directory in (directory for root in roots(study) for directory in cell_directories(root)):
        known = cells.get(directory.name)
        if known is None or (_is_done(directory) and not _is_done(known)):
            cells[directory.name] = directory
    return [cells[name] for name in sorted(cells)]


def _is_done(directory: AnyPath) -> bool:
    return read_status(directory / "status.json").state == DONE


def keep(study: Path, target: Path) -> int:
    """Write the cells of a study into `cells.zip` in a directory and return their number.

    Leave code locations (`_target_`) out of the configs: hashes do not count them, and modules move.

    Args:
        study: directory of the study; its own `cells.zip` is read as well.
        target: the directory of the new file; it may be the study's.

    Raises:
        ValueError: the study has no cell, or `roots` says so.
    """
    cells = study_cells(study)
    if not cells:
        raise ValueError(f"{study} has no cell to keep")
    with atomic_path(target / KEPT) as temporary, zipfile.ZipFile(temporary, "w", compresslevel=9) as archive:
        for directory in cells:
            for name, content in _contents(directory):
                entry = zipfile.ZipInfo(f"{directory.name}/{name}", _TIME)
                entry.compress_type = zipfile.ZIP_STORED if name.endswith(".parquet") else zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
    return len(cells)


def _contents(directory: AnyPath) -> Iterator[tuple[str, bytes]]:
    status = read_status(directory / "status.json")
    anonymous = Status(state=status.state, attempt=status.attempt, cause=status.cause)  # names no machine
    yield "status.json", json.dumps(anonymous.to_json()).encode()
    if (config := directory / "config.yaml").is_file():
        yield "config.yaml", _plain_config(config.read_bytes())
    for name in _RECORDS:
        if (file := directory / name).is_file():
            yield name, file.read_bytes()


def _plain_config(content: bytes) -> bytes:
    """Leave `_target_`s out of a config. What is not YAML stays as it is."""
    try:
        return yaml.safe_dump(_without_targets(yaml.safe_load(content))).encode()
    except yaml.YAMLError:
        return content


def _without_targets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_targets(inner) for key, inner in value.items() if key != "_target_"}
    return value
