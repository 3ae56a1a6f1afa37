"""Artifacts at W&B and Trackio, whose classes take the same calls: their names and their files."""

import re
from pathlib import Path
from typing import Any

from memlaw.tracking.names import shortened


def artifact_name(text: str) -> str:
    """Return `text` as a name that both services allow for an artifact."""
    return shortened(re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII))


def add_files(artifact: Any, paths: list[Path]) -> None:
    """Add the paths that exist to an artifact: files, and all files inside directories."""
    for path in paths:
        root = path if path.is_dir() else path.parent
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():  # one by one: `add_dir` would print each directory
                artifact.add_file(str(file), name=file.relative_to(root).as_posix())
