"""Read JSON files that may be broken or come from elsewhere, and check their types. Errors are the documented ones."""

import json
from collections.abc import Mapping
from typing import Any

from memlaw.core.files import AnyPath

Types = Mapping[str, type | tuple[type, ...]]
"""Key → the Python types that its value may have. A bool does not count as a number."""


def read_object(path: AnyPath) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        OSError: the file cannot be read.
        ValueError: it holds no JSON object, or NaN or an infinity, which memlaw never writes.
        RecursionError: it is nested too deeply.
    """
    content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds a {type(content).__name__}, not an object")
    return content


def check_types(file: str, content: Mapping[str, Any], types: Types) -> None:
    """Raise ValueError where a value has another type than `types` allows. The message begins with `file`."""
    for key, value in content.items():
        if key in types and (isinstance(value, bool) or not isinstance(value, types[key])):
            raise ValueError(f"{file}: {key} is a {type(value).__name__}")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"the file holds {name}, which memlaw never writes")
