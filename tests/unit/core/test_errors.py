"""How error messages show values."""

import pytest
from omegaconf import OmegaConf

from memlaw.core.errors import shown, spelled


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        ([1, None, False], "[1, null, false]"),
        ({"a": [1, True]}, "{a: [1, true]}"),
        (OmegaConf.create({"a": ["x", None]}), "{a: [x, null]}"),
        ("text", "text"),
        (0.5, "0.5"),
    ],
)
def test_values_are_spelled_as_on_the_command_line(value: object, text: str):
    assert spelled(value) == text


def test_the_middle_of_a_long_value_is_left_out():
    assert shown("a" * 200) == "a" * 200
    assert spelled("a" * 500 + "b" * 500) == "a" * 100 + "…" + "b" * 100
