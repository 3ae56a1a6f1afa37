"""Errors that users can mend, and the spelling of values in messages."""

import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import NoReturn

from hydra.errors import CompactHydraException

TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"
"""Whether to show tracebacks. Read at import, before `memlaw.train` sets the variable for Hydra."""


class ConfigError(CompactHydraException):
    """The configuration asks for something impossible; the message names the key and what is allowed."""


class CellError(RuntimeError):
    """Training a cell failed; the message is its one-line cause."""


class SweepFailed(CompactHydraException):
    """Some cells failed; the command ends with exit code 1."""


def one_line(error: BaseException) -> str:
    """Write an error's message without line breaks. Give the name of its class where it has no message."""
    return " ".join(str(error).split())[:500] or type(error).__name__


_SHOWN = 200
"""Characters of a value that an error shows."""


def shown(value: str) -> str:
    """Shorten a text for an error message: leave out the middle of a very long text."""
    return value if len(value) <= _SHOWN else f"{value[: _SHOWN // 2]}…{value[-_SHOWN // 2 :]}"


def spelled(value: object) -> str:
    """Write a value as the command line and YAML do: null, true, [1, 2], {a: 1}. Shorten a very long value."""
    return shown(_spelled(value))


def _spelled(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_spelled(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return f"[{', '.join(map(_spelled, value))}]"
    return str(value)


INTERRUPTED = "Interrupted. Run the same command again to train the missing cells."


def leave_interrupted(message: str = INTERRUPTED) -> NoReturn:
    """End the program after Ctrl-C, with exit code 130."""
    print(message, file=sys.stderr)
    sys.exit(130)


def refuse(error: Exception) -> NoReturn:
    """Print the error's message, after a traceback if `TRACEBACKS`, and end the program with exit code 2."""
    if TRACEBACKS:
        traceback.print_exception(error)
    print(f"Configuration error: {error}", file=sys.stderr)
    sys.exit(2)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether RAM or the memory of a GPU ran out, by the message: such errors of torch share no class."""
    messages = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError) or any(message in str(error) for message in messages)
