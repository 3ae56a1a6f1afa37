from pathlib import Path

import pytest

from memlaw.core.json_file import check_types, read_object


@pytest.mark.parametrize(
    ("text", "message"),
    [("[]", "holds a list, not an object"), ('{"a": NaN}', "holds NaN"), ("{", "Expecting property name")],
)
def test_a_file_without_a_sound_object_is_refused(tmp_path: Path, text: str, message: str):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_object(tmp_path / "a.json")


def test_a_value_of_another_type_names_file_and_key():
    types = {"steps": (int, float), "name": str}
    check_types("a.json", {"steps": 1.5, "name": "x", "other": None}, types)
    for content in ({"steps": "1"}, {"steps": True}, {"name": 1}):
        with pytest.raises(ValueError, match=f"a.json: {next(iter(content))} is a "):
            check_types("a.json", content, types)
