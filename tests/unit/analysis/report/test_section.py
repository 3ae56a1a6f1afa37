import numpy as np
import pytest
from memlaw_analysis.pages.show import show
from memlaw_analysis.report.strict import strict


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.123, "{:.1%}", "12.3%"), (3, "{:.2f}", "3.00"), ("held", "{:.2g}", "held"), (7, None, "7"),
        (None, "{:.2f}", "–"), (float("nan"), "{:.2f}", "–"), (float("inf"), "{:.1f}", "–"), ([1, 2], None, "[1, 2]"),
    ],
)  # fmt: skip
def test_values_are_shown_by_their_format_and_missing_ones_as_a_dash(value, form, text):
    assert show(value, form) == text


def test_strict_records_hold_plain_finite_numbers():
    record = {"a": np.float64(1.5), "b": [np.int64(2), float("nan")], 3: {"c": (np.inf, "x", None, True)}}
    assert strict(record) == {"a": 1.5, "b": [2, None], "3": {"c": [None, "x", None, True]}}
    assert type(strict(np.float64(1))) is float
