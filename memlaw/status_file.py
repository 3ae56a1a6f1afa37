"""A cell's `status.json`: the states that it names, and a reader that no content can crash."""

import json
from pathlib import Path
from typing import Any

PENDING, RUNNING, DONE, FAILED = "pending", "running", "done", "failed"
"""What a cell's own process writes."""

UNREADABLE = "unreadable"
"""What a reader makes of a file that is broken, or not memlaw's."""

FORECAST = ("total_steps", "step_flops")
"""What a status tells from the moment the cell is planned: its steps, and their arithmetic (`memlaw.cost`)."""

_TYPES: dict[str, type | tuple[type, ...]] = {
    "attempt": int,
    "host": str,
    "pid": int,
    "started": str,
    "updated": str,
    "step": int,
    "total_steps": int,
    "step_flops": (int, float),
    "loss_nats": (int, float),
    "recalled_share": (int, float),
    "cause": str,
    "traceback": str,
}


def read_status(path: Path) -> dict[str, Any]:
    """The content of a `status.json`, `attempt` always in it; pending when there is no such file.

    Where it cannot be read, or promises a result that cannot, the state is `unreadable`, with the cause.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {"state": PENDING, "attempt": 0}
    except (OSError, ValueError) as error:  # bytes that are no UTF-8 are a ValueError, as is broken JSON
        return _unreadable(error)
    try:
        status = _checked(json.loads(text))
        if status["state"] == DONE:
            _check_row(path.with_name("result.json"))
    except (OSError, ValueError, RecursionError) as error:
        return _unreadable(error)
    return status


def _checked(status: Any) -> dict[str, Any]:
    if not isinstance(status, dict):
        raise ValueError(f"status.json holds a {type(status).__name__}, not an object")
    if status.get("state") not in (PENDING, RUNNING, DONE, FAILED):
        raise ValueError(f"status.json names no state of a cell: {status.get('state')!r}")
    for key in status.keys() & _TYPES.keys():
        if not isinstance(status[key], _TYPES[key]):
            raise ValueError(f"status.json: {key} is a {type(status[key]).__name__}")
    if status["state"] == FAILED and "cause" not in status:
        raise ValueError("status.json says failed and gives no cause")
    return {"attempt": 0, **status}


def _check_row(path: Path) -> None:
    if not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
        raise ValueError(f"{path.name} holds no object")


def _unreadable(error: Exception) -> dict[str, Any]:
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    return {"state": UNREADABLE, "attempt": 0, "cause": cause}
