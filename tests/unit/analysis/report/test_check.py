from pathlib import Path

import pytest
from memlaw_analysis.report.check import differences, moved_numbers
from memlaw_analysis.report.part import Kind, Part

from memlaw.core.files import write_json


@pytest.mark.parametrize(
    ("now", "lines"),
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
def test_whatever_moved_is_named(now, lines):
    assert list(differences({"a": 1.0, "b": [1, 2], "c": None, "d": "x"}, now)) == lines


def part(label: str, **record: object) -> Part:
    return Part(Kind.CONDITION, label, label, [], [], dict, record, {}, {})


def test_parts_are_compared_with_the_records_that_were_written(tmp_path: Path):
    write_json(tmp_path / "a/law.json", {"C": 1.0, "versions": {"numpy": "1"}})
    write_json(tmp_path / "gone/law.json", {"C": 1.0})
    (tmp_path / "half").mkdir()
    (tmp_path / "half/law.json").write_text('{"C": ')
    same, moved = part("a", C=1.0, versions={"numpy": "2"}), part("a", C=2.0)
    lines, versions = moved_numbers([same, part("half", C=1.0), part("new", C=1.0)], tmp_path)
    assert versions == ["versions.numpy: '1' in the report, '2' now"]
    assert lines[0].startswith("half/law.json is damaged: ")
    assert lines[1:] == ["new/law.json is missing", "gone/law.json is of a condition that the cells no longer have"]
    assert moved_numbers([moved], tmp_path)[0][0] == "a/law.json: C: 1.0 in the report, 2.0 now"
