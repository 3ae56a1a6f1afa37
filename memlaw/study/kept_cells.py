"""A study's cells in one file to keep, `cells.zip`: their directories without adapters and checkpoints.

Analysis reads this file like the directories. `unzip` makes directories of it again.
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
"""What is kept of a cell as it is, where it is there."""

_TIME = (1980, 1, 1, 0, 0, 0)
"""Of every entry, so that the same cells give the same file."""


def roots(study: Path) -> list[AnyPath]:
    """Return where the cells of a study lie: its directory and, where there is one, its kept file.

    Raises:
        ValueError: the kept file is no zip file.
    """
    file = study / KEPT
    try:
        return [study, zipfile.Path(file)] if file.is_file() else [study]
    except zipfile.BadZipFile as error:
        raise ValueError(f"{file} cannot be read: {error}") from error


def cell_directories(root: AnyPath) -> Iterator[AnyPath]:
    """Yield the directories below `root` that hold a cell, by name."""
    below: Iterable[AnyPath] = root.iterdir() if root.is_dir() else ()
    for directory in sorted(below, key=str):
        if (directory / "status.json").is_file():
            yield directory


def keep(study: Path, target: Path) -> int:
    """Write the cells of a study into the file `cells.zip` of another directory and return their number.

    Code locations (`_target_`) are left out of their configs: no hash counts them, and modules move.

    Args:
        study: its directory.
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
    status = read_status(directory / "status.json")  # without what it says of the machine that trained the cell
    kept = Status(state=status.state, attempt=status.attempt, cause=status.cause)
    yield "status.json", json.dumps(kept.to_json()).encode()
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
