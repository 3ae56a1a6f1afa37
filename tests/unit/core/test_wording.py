import pytest

from memlaw.core.wording import count, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (360000, "100.0 h")],
)
def test_a_duration_has_the_unit_that_a_reader_expects(seconds: float, text: str):
    assert duration(seconds) == text


def test_a_count_has_its_noun_in_the_right_number():
    assert [count(number, "cell") for number in (0, 1, 2)] == ["0 cells", "1 cell", "2 cells"]
