"""Reads a user's text file."""

from pathlib import Path

from memlaw.core.errors import ConfigError, shown, spelled
from memlaw.core.files import file_hash


def named(path: str) -> str:
    """Spell the key and the path as errors show them."""
    return f"data.path={shown(path)}"


def check_path(path: object) -> None:
    """Refuse a value that is not a path. Raises ConfigError naming `data.path`."""
    if not isinstance(path, str) or not path:
        raise ConfigError(f"data.path={spelled(path)} is not the path of a file")


def checked_hash(path: str, content: str | None) -> str | None:
    """Return the file's present hash; None when there is no such file.

    Args:
        path: of the file.
        content: the hash that it must have; None allows any.

    Raises:
        ConfigError: it has another.
    """
    present = file_hash(path)
    if content is not None and present != content:
        raise ConfigError(f"{named(path)} is gone or was edited since the cell was planned; start the sweep again")
    return present


def read_file(path: str) -> str:
    """Read the file `data.path`. Raises ConfigError when it cannot be read or is not UTF-8 text."""
    try:
        return read_text(path)
    except ValueError as error:
        raise ConfigError(f"{named(path)} cannot be read: {error}") from error


def read_text(path: object) -> str:
    r"""Read UTF-8 text; drop a byte order mark, and end every line in `\n`.

    Raises:
        ValueError: the file cannot be read, or is not UTF-8 text; the message names the cause.
    """
    if not isinstance(path, str):
        raise ValueError("not the path of a file")
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except (RuntimeError, ValueError) as error:  # the home of an unknown user, a NUL in the path
        raise ValueError(str(error)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        raise ValueError("not UTF-8 text (it has NUL characters, as UTF-16 and binary files do); save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
