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
from memlaw.study.status import Status, read_status

KEPT = "cells.zip"
"""The file's name in the directory of a study."""

_RECORDS = ("result.json", "tokens.parquet", "recall.json")
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


def keep(study: Path, target: Path) -> int:
    """Write the cells of a study into `cells.zip` in another directory and return their number.

    Leave code locations (`_target_`) out of the configs: hashes do not count them, and modules move.

    Args:
        study: directory of the study.
        target: the other directory.
    """
    count = 0
    with atomic_path(target / KEPT) as temporary, zipfile.ZipFile(temporary, "w", compresslevel=9) as archive:
        for directory in cell_directories(study):
            count += 1
            for name, content in _contents(directory):
                entry = zipfile.ZipInfo(f"{directory.name}/{name}", _TIME)
                entry.compress_type = zipfile.ZIP_STORED if name.endswith(".parquet") else zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
    return count


def _contents(directory: AnyPath) -> Iterator[tuple[str, bytes]]:
    status = read_status(directory / "status.json")
    anonymous = Status(state=status.state, attempt=status.attempt, cause=status.cause)  # names no machine
    yield "status.json", json.dumps(anonymous.to_json()).encode()
    if (config := directory / "config.yaml").is_file():
        plain = _without_targets(yaml.safe_load(config.read_text(encoding="utf-8")))
        yield "config.yaml", yaml.safe_dump(plain).encode()
    for name in _RECORDS:
        if (file := directory / name).is_file():
            yield name, file.read_bytes()


def _without_targets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_targets(inner) for key, inner in value.items() if key != "_target_"}
    return value
