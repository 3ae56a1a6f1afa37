import pytest

from memlaw.core.errors import ConfigError
from memlaw.data.text_file import named, read_file, read_text

TEXT = "plain text of some length"


@pytest.mark.parametrize("content", [TEXT.encode(), TEXT.encode("utf-8-sig")])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, content: bytes):
    (tmp_path / "a.txt").write_bytes(content)
    assert read_text(str(tmp_path / "a.txt")) == TEXT


def test_lines_end_alike_however_they_ended(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\rthree\nfour\xe2\x80\xa8five")
    assert read_text(str(tmp_path / "a.txt")) == "one\ntwo\nthree\nfour\u2028five"


@pytest.mark.parametrize(
    "content",
    [TEXT.encode("utf-16"), TEXT.encode("utf-16-le"), TEXT.encode("utf-32"), "Größe".encode("latin-1"), b"\x89PNG\0"],
)
def test_another_encoding_is_one_line_that_says_what_to_do(tmp_path, content: bytes):
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^data\.path=.*a\.txt cannot be read: not UTF-8 text .*; save it as UTF-8$"):
        read_file(str(tmp_path / "a.txt"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/no/such.txt", "No such file or directory"),
        ("/", "Is a directory"),
        ("~nobody-of-this-name/a.txt", "home directory"),
        ("a\0b", "null byte"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_short_line(path: str, said: str):
    with pytest.raises(ConfigError, match=said) as caught:
        read_file(path)
    assert len(str(caught.value)) < 300


def test_a_long_path_is_shown_with_its_ends():
    shown = named("/start/" + "x" * 1000 + "/end.txt")
    assert shown.startswith("data.path=/start/xxx") and shown.endswith("xxx/end.txt") and len(shown) < 250
