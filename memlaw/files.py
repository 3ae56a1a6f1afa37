"""Atomic writing: a reader sees the old file or the new one, never half of either."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAME_BYTES, PATH_BYTES = 255, 4096
"""What file systems take as a name, and as a whole path."""

TEMPORARY_BYTES = 15
"""What `atomic_path` adds to a name."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success sync it and rename it to `target`.

    The caller creates a file or a directory at the yielded path. A directory that already stands at
    `target` is replaced. On an exception the temporary path is removed and `target` is left as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        if temporary.is_dir():
            if target.exists():
                shutil.rmtree(target)
        else:
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
        temporary.replace(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write `text` to `target` atomically, as UTF-8."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write `value` to `target` atomically, as indented JSON; NaN and infinities are refused."""
    write_text(target, json.dumps(value, indent=1, allow_nan=False) + "\n")


def remove_unfinished(directory: Path) -> None:
    """Remove what a killed process was writing in `directory`; nobody else may be writing there."""
    for temporary in directory.glob(".*.tmp"):
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
