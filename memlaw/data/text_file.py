"""A user's text file: its characters, and what keeps a file from being text."""

from pathlib import Path

from memlaw.core.errors import ConfigError, shown, spelled
from memlaw.core.files import file_hash


def named(path: str) -> str:
    """The key and the path as errors show them."""
    return f"data.path={shown(path)}"


def check_path(path: object) -> None:
    """Refuse what is no path at all. Raises ConfigError naming `data.path`."""
    if not isinstance(path, str) or not path:
        raise ConfigError(f"data.path={spelled(path)} is not the path of a file")


def checked_hash(path: str, content: str | None) -> str | None:
    """The file's hash as it is now; None when there is no such file.

    Args:
        path: of the file.
        content: the hash that it must have; None: whatever it is.

    Raises:
        ConfigError: it has another.
    """
    found = file_hash(path)
    if content is not None and found != content:
        raise ConfigError(f"{named(path)} is gone or was edited since the cell was planned; start the sweep again")
    return found


def read_file(path: str) -> str:
    """The text of the file `data.path`. Raises ConfigError when it cannot be read or is no UTF-8 text."""
    try:
        return read_text(path)
    except ValueError as error:
        raise ConfigError(f"{named(path)} cannot be read: {error}") from error


def read_text(path: object) -> str:
    r"""A UTF-8 text without the byte order mark that may stand before it; a line ends in `\n` however it ended.

    Raises:
        ValueError: the file cannot be read, or is no UTF-8 text; the message says why.
    """
    if not isinstance(path, str):
        raise ValueError("no path of a file")
    try:
        data = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except (RuntimeError, ValueError) as error:  # the home of an unknown user, a NUL in the path
        raise ValueError(str(error)) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"no UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        raise ValueError("no UTF-8 text (it has NUL characters, as UTF-16 and binary files do); save it as UTF-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")
