import math

import pytest

from memlaw.config.values import (
    check_at_least,
    check_characters,
    check_choice,
    check_label,
    check_not_negative,
    check_or,
    check_positive,
    check_share,
    check_switch,
)
from memlaw.core.errors import ConfigError


@pytest.mark.parametrize(
    ("check", "allowed", "refused"),
    [
        (check_positive, [1, 0.5], [0, -1, math.inf, math.nan, True, "1", None]),
        (check_not_negative, [0, 2.5], [-1e-9, math.inf, False]),
        (check_share, [0, 0.99], [1, -0.1, math.nan]),
        (check_at_least(2), [2, 3], [1, 2.0, True, "2", None]),
        (check_switch, [True, False], [0, "no", None]),
        (check_label, ["a", 1, 2.5], ["", True, None, ["a"]]),
        (check_or("auto", check_positive), ["auto", 1], ["all", 0, None]),
        (check_or(None, check_positive), [None, 1], ["auto", 0]),
    ],
    ids=range(8),
)
def test_values_that_are_not_allowed_are_refused_with_their_key(check, allowed: list, refused: list):
    for value in allowed:
        check("some.key", value)
    for value in refused:
        with pytest.raises(ConfigError, match=r"^some\.key="):
            check("some.key", value)


def test_errors_name_every_alternative():
    with pytest.raises(ConfigError, match=r"is not a number above 0, nor null$"):
        check_or(None, check_positive)("key", 0)
    with pytest.raises(ConfigError, match=r"key=c is not one of a, b$"):
        check_choice("key", "c", ("a", "b"))


def test_half_a_character_is_named_with_its_place():
    check_characters("key", "ℓ 🙂")
    with pytest.raises(ConfigError, match=r"^key: '\\ud83d' at 2 is half a character"):
        check_characters("key", "ab\ud83d")
