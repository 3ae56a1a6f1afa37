"""What a value of the configuration must be; a ConfigError names the key and what is allowed."""

import math
from collections.abc import Callable

from memlaw.errors import ConfigError


def check_number(key: str, value: object, allowed: str, holds: Callable[[float], bool]) -> None:
    """Refuse what is no finite number for which `holds`.

    Raises:
        ConfigError: naming the key and what is allowed, in words.
    """
    sound = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not sound or not holds(float(value)):  # type: ignore[arg-type]
        raise ConfigError(f"{key}={value} is not {allowed}")


def check_whole(key: str, value: object, at_least: int) -> None:
    """Refuse what is no whole number of at least `at_least`. Raises ConfigError naming the key."""
    if not isinstance(value, int) or isinstance(value, bool) or value < at_least:
        raise ConfigError(f"{key}={value} is not a whole number of at least {at_least}")


def check_switch(key: str, value: object) -> None:
    """Refuse what is neither true nor false; a text such as `no` would count as true. Raises ConfigError."""
    if not isinstance(value, bool):
        raise ConfigError(f"{key}={value} is neither true nor false")


def check_characters(key: str, text: str) -> None:
    """Refuse a text that holds half a character: a lone surrogate, of JSON's escapes or of bytes that are no UTF-8.

    Raises:
        ConfigError: beginning with `key`.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigError(f"{key}: {text[error.start]!a} at {error.start} is half a character, no text") from error
