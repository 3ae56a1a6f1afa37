"""What the cells of a study have on disk, read as any other program would."""

import json
from pathlib import Path
from typing import Any


def statuses(study: Path) -> dict[str, dict[str, Any]]:
    """Each cell's `status.json`, by the cell's name."""
    return {path.parent.name: json.loads(path.read_text()) for path in study.glob("*/status.json")}


def states(study: Path) -> dict[str, str]:
    """Each cell's state, by the cell's name."""
    return {name: status["state"] for name, status in statuses(study).items()}


def results(study: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """Each finished cell's `result.json`, by rank and length."""
    rows = [json.loads(path.read_text()) for path in study.glob("*/result.json")]
    return {(row["lora.rank"], row["seq_len"]): row for row in rows}


def of_length(found: dict[str, dict[str, Any]], seq_len: int) -> list[dict[str, Any]]:
    """The statuses of cells of one length."""
    return [status for name, status in found.items() if f"-l{seq_len}-" in name]
