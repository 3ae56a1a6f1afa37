"""Write files and directories atomically: a reader sees the old content or the new, never half. Hash files."""

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
"""Longest name and longest path that file systems take."""

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of renameat2(2)."""

TEMPORARY_BYTES = 15
"""Bytes that `atomic_path` adds to a name."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; on success sync it and rename it to `target`.

    Create a file or a directory at the yielded path. It replaces a file or a directory at `target` in one step.
    On an exception the temporary path is removed and `target` stays as it was.
    """
    target = target.absolute() if target.name else target.resolve()  # "." has no name
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
    """Wait until the disk holds a file, or the entries of a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(new: Path, old: Path) -> None:
    """Exchange the names of two directories, in one step where the file system can.

    Elsewhere the old directory gets a hidden name first, which `remove_unfinished` does not remove. A crash in between
    leaves it there.
    """
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)  # of Linux
    if renameat2 and renameat2(_HERE, os.fsencode(new), _HERE, os.fsencode(old), _EXCHANGE) == 0:
        return
    aside = old.with_name(f".{old.name}.{uuid.uuid4().hex[:8]}.old")
    old.replace(aside)
    new.replace(old)
    aside.replace(new)


def write_text(target: Path, text: str) -> None:
    """Write `text` to `target` atomically, as UTF-8."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(target: Path, value: Any) -> None:
    """Write `value` to `target` atomically, as indented JSON. Raises ValueError for NaN and infinities."""
    write_text(target, json.dumps(value, indent=1, allow_nan=False) + "\n")


def remove_unfinished(directory: Path) -> None:
    """Remove the temporary files that a killed process left in `directory`. No other process may write there."""
    for temporary in directory.glob(".*.tmp"):
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def file_hash(path: Any) -> str | None:
    """Return sixteen hexadecimal digits of a file's SHA-256; None when there is no such file."""
    if not isinstance(path, str):
        return None
    try:
        with Path(path).expanduser().open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except (OSError, RuntimeError, ValueError):  # also the home of an unknown user, and a NUL in the path
        return None
