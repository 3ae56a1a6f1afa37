"""The errors that users cause and can mend."""

import sys
from typing import NoReturn

from hydra.errors import CompactHydraException


class ConfigError(CompactHydraException):
    """The configuration asks for something impossible; the message names the key and what is allowed."""


class CellError(RuntimeError):
    """Training a cell failed; the message is its one-line cause."""


class SweepFailed(CompactHydraException):
    """Some cells failed; Hydra prints the message without a traceback and exits with 1."""


def refuse(error: ConfigError) -> NoReturn:
    """End the program with exit code 2 and the error's message alone."""
    print(f"Configuration error: {error}", file=sys.stderr)
    sys.exit(2)
