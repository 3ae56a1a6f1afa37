"""Errors that users cause and can mend, and how messages show values."""

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
    """Write an error's message without line breaks; its class where it has no message."""
    return " ".join(str(error).split())[:500] or type(error).__name__


_SHOWN = 200
"""Characters of a value that an error shows."""


def shown(value: str) -> str:
    """Shorten a text for an error: leave out the middle of a very long one."""
    return value if len(value) <= _SHOWN else f"{value[: _SHOWN // 2]}…{value[-_SHOWN // 2 :]}"


def spelled(value: object) -> str:
    """Write a value as the command line and YAML do: null, true, [1, 2], {a: 1}. Shorten very long ones."""
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


INTERRUPTED = "Interrupted. The same command goes on with what is missing."


def leave_interrupted(message: str = INTERRUPTED) -> NoReturn:
    """End the program after Ctrl-C, with exit code 130."""
    print(message, file=sys.stderr)
    sys.exit(130)


def refuse(error: Exception) -> NoReturn:
    """End the program with exit code 2 and the error's message, after a traceback if `TRACEBACKS`."""
    if TRACEBACKS:
        traceback.print_exception(error)
    print(f"Configuration error: {error}", file=sys.stderr)
    sys.exit(2)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: torch has an error of its own for a GPU's, and messages for all others."""
    said = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    return isinstance(error, MemoryError) or any(words in str(error) for words in said)
