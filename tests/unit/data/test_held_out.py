import pytest

from memlaw.core.errors import ConfigError
from memlaw.data.held_out import held_out_text
from memlaw.planning.checks import check_cell


@pytest.mark.parametrize("how", ["yes", "/no/such/file.txt", "true"])
def test_an_unknown_text_is_refused_by_its_key(tiny, how: str):
    cell, _ = tiny(f"eval.side_effects={how}")
    with pytest.raises(ConfigError, match=r"eval\.side_effects=.* is neither on, nor off, nor a text file"):
        check_cell(cell)


def test_a_byte_order_mark_is_no_part_of_a_held_out_text(tmp_path):
    (tmp_path / "a.txt").write_text("some text", encoding="utf-8-sig")
    assert held_out_text(str(tmp_path / "a.txt"), None) == "some text"
    (tmp_path / "a.txt").write_text("some text", encoding="utf-16-le")
    with pytest.raises(ConfigError, match=r"eval\.side_effects=.*: not UTF-8 text .*; save it as UTF-8"):
        held_out_text(str(tmp_path / "a.txt"), None)


def test_another_text_in_the_file_is_another_cell_and_no_other_text_is_scored(tiny, tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("One ordinary sentence.")
    first, _ = tiny(f"eval.side_effects='{file}'")
    file.write_text("Another ordinary sentence.")
    second, _ = tiny(f"eval.side_effects='{file}'")
    assert first.hash != second.hash
    with pytest.raises(ConfigError, match=r"eval\.side_effects=.*a\.txt is gone or was edited since"):
        check_cell(first)
    check_cell(second)
    assert tiny("eval.side_effects=on")[0].config.eval.side_effects_content is None
