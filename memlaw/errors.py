"""The errors that users cause and can mend."""

from hydra.errors import CompactHydraException


class ConfigError(ValueError):
    """The configuration asks for something impossible; the message names the key and what is allowed."""


class CellError(RuntimeError):
    """Training a cell failed; the message is its one-line cause."""


class SweepFailed(CompactHydraException):
    """Some cells failed; Hydra prints the message without a traceback and exits with 1."""
