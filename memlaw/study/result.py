"""Read a done cell's `result.json`, and refuse a row that lacks what other modules rely on."""

from typing import Any

from memlaw.core.files import AnyPath
from memlaw.core.json_file import Types, check_types, read_object
from memlaw.study.identity import with_later_keys

_NUMBER = (int, float)
_NAME = (str, *_NUMBER)

_TYPES: Types = {
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
"""Column of `result.json` that readers rely on → its types."""

NEEDED_COLUMNS = ("cell", *_TYPES)
"""Columns of every row."""

_POSITIVE = ("trainable_parameters", "target_tokens", "step_flops", "pack_size")
"""Columns that readers divide by."""


def read_result(directory: AnyPath) -> dict[str, Any]:
    """Read the result of the cell in a directory. A row of an earlier version gets the keys that it lacks.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not the row of that cell, or the directory has no token table.
    """
    row = read_object(directory / "result.json")
    lacking = [key for key in NEEDED_COLUMNS if key not in row]
    if lacking:
        raise ValueError(f"result.json lacks {', '.join(lacking[:3])}{', …' if len(lacking) > 3 else ''}")
    if row["cell"] != directory.name:
        raise ValueError(f"result.json is the row of another cell: {row['cell']!r}")
    check_types("result.json", row, _TYPES)
    for key in _POSITIVE:
        if row[key] <= 0:
            raise ValueError(f"result.json: {key} is {row[key]}")
    if not (directory / "tokens.parquet").is_file():
        raise ValueError("tokens.parquet is missing")
    return with_later_keys(row)
