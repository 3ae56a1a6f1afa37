"""A cell's `status.json`: the states that it names, and a reader that no content can crash."""

import json
from typing import Any, cast

from memlaw.cell_paths import AnyPath

PENDING, RUNNING, DONE, FAILED = "pending", "running", "done", "failed"
"""What a cell's own process writes."""

UNREADABLE = "unreadable"
"""What a reader makes of a file that is broken, or not memlaw's."""

FORECAST = ("total_steps", "step_flops")
"""What a status tells from the moment the cell is planned: its steps, and their arithmetic (`memlaw.cost`)."""

_NUMBER = (int, float)
_Types = dict[str, type | tuple[type, ...]]

_TYPES: _Types = {
    "attempt": int,
    "host": str,
    "pid": int,
    "started": str,
    "updated": str,
    "step": int,
    "total_steps": int,
    "step_flops": _NUMBER,
    "loss_nats": _NUMBER,
    "recalled_share": _NUMBER,
    "cause": str,
    "traceback": str,
}

_NAME = (str, *_NUMBER)

_ROW_TYPES: _Types = {
    "model.name": _NAME,
    "data.name": _NAME,
    "method.name": _NAME,
    "seq_len": _NUMBER,
    "lora.rank": _NUMBER,
    "seed": _NUMBER,
    "base_loss_nats": _NUMBER,
    "loss_nats": _NUMBER,
    "delta_loss_nats": _NUMBER,
    "recalled_share": _NUMBER,
    "bits_per_parameter": _NUMBER,
    "trainable_parameters": _NUMBER,
    "target_tokens": _NUMBER,
    "steps_trained": _NUMBER,
    "seconds": _NUMBER,
    "worker_seconds": _NUMBER,
    "step_flops": _NUMBER,
    "pack_size": _NUMBER,
    "device": str,
    "dtype": str,
    "model_fingerprint": str,
}
"""The columns of `result.json` that readers take for granted; every version of memlaw has written them."""

_POSITIVE = ("trainable_parameters", "target_tokens", "step_flops", "pack_size")
"""Those of them that are divided by."""


def read_status(path: AnyPath) -> dict[str, Any]:
    """The content of a `status.json`, `attempt` always in it; pending when there is no such file.

    Where it cannot be read, or promises a result that is not there, the state is `unreadable`, with the cause. A
    missing adapter is no such case: studies that are kept for their numbers leave it out.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {"state": PENDING, "attempt": 0}
    except (OSError, ValueError) as error:  # bytes that are no UTF-8 are a ValueError, as is broken JSON
        return _unreadable(error)
    try:
        status = _checked(json.loads(text, parse_constant=_no_constant))
        if status["state"] == DONE:
            _check_result(cast(AnyPath, path.parent))
    except (OSError, ValueError, RecursionError) as error:
        return _unreadable(error)
    return status


def _checked(status: Any) -> dict[str, Any]:
    if not isinstance(status, dict):
        raise ValueError(f"status.json holds a {type(status).__name__}, not an object")
    if status.get("state") not in (PENDING, RUNNING, DONE, FAILED):
        raise ValueError(f"status.json names no state of a cell: {status.get('state')!r}")
    _check_types("status.json", status, _TYPES)
    if status["state"] == FAILED and "cause" not in status:
        raise ValueError("status.json says failed and gives no cause")
    return {"attempt": 0, **status}


def _check_result(directory: AnyPath) -> None:
    """Raise ValueError or OSError where a cell's directory holds no row of that cell, or no token table."""
    row = json.loads((directory / "result.json").read_text(encoding="utf-8"), parse_constant=_no_constant)
    if not isinstance(row, dict):
        raise ValueError(f"result.json holds a {type(row).__name__}, not an object")
    lacking = [key for key in ("cell", *_ROW_TYPES) if key not in row]
    if lacking:
        raise ValueError(f"result.json lacks {', '.join(lacking[:3])}{', …' if len(lacking) > 3 else ''}")
    if row["cell"] != directory.name:
        raise ValueError(f"result.json is the row of another cell: {row['cell']!r}")
    _check_types("result.json", row, _ROW_TYPES)
    for key in _POSITIVE:
        if row[key] <= 0:
            raise ValueError(f"result.json: {key} is {row[key]}")
    if not (directory / "tokens.parquet").is_file():
        raise ValueError("tokens.parquet is missing")


def _check_types(file: str, found: dict[str, Any], types: _Types) -> None:
    for key, value in found.items():
        if key in types and (isinstance(value, bool) or not isinstance(value, types[key])):
            raise ValueError(f"{file}: {key} is a {type(value).__name__}")


def _no_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which memlaw never writes")


def _unreadable(error: Exception) -> dict[str, Any]:
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    return {"state": UNREADABLE, "attempt": 0, "cause": cause}
