import pytest
from memlaw_analysis.report.check import differences


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"a": 1.0, "b": [1, 2], "c": None, "d": "x"}, []),
        ({"a": 1.0 + 1e-9, "b": [1, 2], "c": None, "d": "x"}, []),
        ({"a": 1.001, "b": [1, 2], "c": None, "d": "x"}, ["a: 1.0 in the report, 1.001 now"]),
        ({"a": 1.0, "b": [1, 3], "c": None, "d": "x"}, ["b[1]: 2 in the report, 3 now"]),
        ({"a": 1.0, "b": [1], "c": 0.5, "d": "x"},
         ["b: [1, 2] in the report, [1] now", "c: None in the report, 0.5 now"]),
        ({"a": 1, "b": [1, 2], "c": None, "d": "y", "e": 1},
         ["d: 'x' in the report, 'y' now", "e: None in the report, 1 now"]),
    ],
)  # fmt: skip
def test_whatever_moved_is_named(now, said):
    assert list(differences({"a": 1.0, "b": [1, 2], "c": None, "d": "x"}, now)) == said
