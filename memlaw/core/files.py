"""Atomic writing, so that a reader sees the old file or the new one, never half of either; and the hash of a file."""

import ctypes
import hashlib
import json
import os
import shutil
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AnyPath = Path | zipfile.Path
"""On disk, or inside a zip file."""

NAME_BYTES, PATH_BYTES = 255, 4096
"""What file systems take as a name, and as a whole path."""

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of renameat2(2)."""

TEMPORARY_BYTES = 15
"""What `atomic_path` adds to a name."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success sync it and rename it to `target`.

    The caller creates a file or a directory at the yielded path. A directory that already stands at
    `target` is replaced in one step. On an exception the temporary path is removed and `target` is left as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        yield temporary
        for path in [*temporary.rglob("*"), temporary] if temporary.is_dir() else [temporary]:
            _sync(path)
        if temporary.is_dir() and target.is_dir():
            _exchange(temporary, target)
        else:
            temporary.replace(target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Wait until a file, or the list of a directory's files, is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> None:
    """Let two directories trade names: in one step where the file system can, so that a crash leaves one or the other.

    Elsewhere the other one steps aside first, under a hidden name that `remove_unfinished` does not take.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # of Linux
    if renameat2 and renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return
    aside = other.with_name(f".{other.name}.{uuid.uuid4().hex[:8]}.old")
    other.replace(aside)
    one.replace(other)
    aside.replace(one)


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


def file_hash(path: Any) -> str | None:
    """Sixteen hexadecimal digits of a file's SHA-256; None when there is no such file."""
    if not isinstance(path, str):
        return None
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except (OSError, RuntimeError, ValueError):  # also the home of an unknown user, and a NUL in the path
        return None
