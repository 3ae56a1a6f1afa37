"""Check values of the configuration. Each error names the key, the value and the allowed values."""

import math
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from memlaw.core.errors import ConfigError, spelled

Check = Callable[[str, Any], None]
"""Takes a key and its value, and raises ConfigError unless the value is allowed."""


def check_number(key: str, value: object, allowed: str, holds: Callable[[float], bool]) -> None:
    """Raise ConfigError unless `value` is a finite number that satisfies `holds`. The error ends with `allowed`."""
    sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not sound or not holds(float(value)):  # type: ignore[arg-type]
        raise ConfigError(f"{key}={spelled(value)} is not {allowed}")


def check_positive(key: str, value: object) -> None:
    """Raise ConfigError unless `value` is a number above 0."""
    check_number(key, value, "a number above 0", lambda number: number > 0)


def check_not_negative(key: str, value: object) -> None:
    """Raise ConfigError unless `value` is a number of at least 0."""
    check_number(key, value, "a number of at least 0", lambda number: number >= 0)


def check_share(key: str, value: object) -> None:
    """Raise ConfigError unless `value` is a number from 0 to below 1."""
    check_number(key, value, "a number from 0 to below 1", lambda number: 0 <= number < 1)


def check_whole(key: str, value: object, at_least: int) -> None:
    """Raise ConfigError unless `value` is a whole number of at least `at_least`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ConfigError(f"{key}={spelled(value)} is not a whole number of at least {at_least}")


def check_at_least(least: int) -> Check:
    """Return a check that allows whole numbers of at least `least`."""
    return partial(check_whole, at_least=least)


def check_or(word: str | None, check: Check) -> Check:
    """Return a check that allows `word` and whatever `check` allows."""

    def check_both(key: str, value: Any) -> None:
        if value == word:
            return
        try:
            check(key, value)
        except ConfigError as error:
            raise ConfigError(f"{error}, nor {spelled(word)}") from None

    return check_both


def check_switch(key: str, value: object) -> None:
    """Raise ConfigError unless `value` is true or false. Python would take a text such as `no` for true."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={spelled(value)} is neither true nor false")


def check_choice(key: str, value: object, choices: Collection[str]) -> None:
    """Raise ConfigError unless `value` is one of `choices`."""
    if value not in tuple(choices):
        raise ConfigError(f"{key}={spelled(value)} is not one of {', '.join(choices)}")


def check_label(key: str, value: object) -> None:
    """Raise ConfigError unless `value` is a text or a number, which can be a part of a cell's name."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise ConfigError(f"{key}={spelled(value)} is not a name")


def check_characters(key: str, text: str) -> None:
    """Raise ConfigError if `text` holds half a character, that is a lone surrogate. The message begins with `key`.

    JSON's escapes can spell surrogates, and Python reads bytes that are not UTF-8 as surrogates.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigError(f"{key}: {text[error.start]!a} at {error.start} is half a character, not text") from error
