import json

import pandas as pd
import pytest

from memlaw.core.errors import ConfigError
from memlaw.core.files import file_hash
from memlaw.data import rows
from memlaw.data.rows import field_text, read_rows

ONE = {"query": "A?", "target": "12345"}


def read(tmp_path, name: str, content: str | bytes) -> list[dict]:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return [dict(row) for row in read_rows(str(path), file_hash(str(path)))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.jsonl", json.dumps(ONE)),
        ("lines.jsonl", b"\xef\xbb\xbf" + json.dumps(ONE).encode()),
        ("lines.jsonl", json.dumps(ONE) + "\r\n\r\n"),
        ("lines.ndjson", "\n" + json.dumps(ONE) + "\n"),
        ("array.json", json.dumps([ONE], indent=1)),
        ("array.jsonl", json.dumps([ONE])),
        ("lines.json", json.dumps(ONE)),
        ("table.csv", "query,target\nA?,12345\n"),
        ("table.CSV", b'\xef\xbb\xbfquery,target\r\n\r\n"A?",12345\r\n'),
    ],
)
def test_each_format_gives_the_same_rows(tmp_path, name: str, content: str | bytes):
    assert read(tmp_path, name, content) == [ONE]


def test_unusual_line_ends_within_a_field_end_no_row(tmp_path):
    odd = {"query": "a\u2028b", "target": "c\u2028d\u0085e"}
    assert read(tmp_path, "lines.jsonl", json.dumps(odd, ensure_ascii=False)) == [odd]
    assert read(tmp_path, "table.csv", f"query,target\n{odd['query']},{odd['target']}\n") == [odd]


def test_a_quoted_field_holds_commas_quotes_and_lines_and_may_be_long(tmp_path):
    long = "long " * 40_000
    assert read(tmp_path, "t.csv", f'text\n"a, ""b""\nc"\n{long}\n') == [{"text": 'a, "b"\nc'}, {"text": long}]


def test_a_whole_number_is_the_text_of_its_digits(tmp_path):
    digits = "9" * 5000
    (row,) = read(tmp_path, "lines.jsonl", f'{{"a": 12, "b": -7, "c": {digits}}}')
    assert [field_text(row, name, "here") for name in "abc"] == ["12", "-7", digits]
    assert field_text({"a": 12}, "a", "here") == "12"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "null is not text"),
        (["p1"], "a list is not text"),
        ({"role": "user"}, "an object is not text"),
        (True, "a truth value is not text"),
        (1.5, "a fraction is not text"),
        (b"x", "bytes is not text"),
        ("", "is empty"),
        ("x\ud83dy", r"'\\ud83d' at 1 is half a character"),
    ],
)
def test_what_is_no_text_names_row_and_field(value, said: str):
    with pytest.raises(ConfigError, match=f"^row 3, field target:? {said}"):
        field_text({"target": value}, "target", "row 3")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", "", "has no rows"),
        ("a.json", "[]", "has no rows"),
        ("a.csv", "", "has no rows"),
        ("a.csv", "query,target\n", "has no rows"),
        ("a.jsonl", '{"a": 1}\n{broken', r"line 2: Expecting property name .* allowed are \.jsonl"),
        ("a.jsonl", '{"a": 1}\n3', "line 2: not a JSON object"),
        ("a.json", '[{"a": 1}, 3]', "item 2: not a JSON object"),
        ("a.json", '[{"a": 1}', "Expecting ',' delimiter"),
        ("a.jsonl", '{"a": "x", "a": "y"}', "line 1: the field a occurs twice"),
        ("a.jsonl", '{"m": ' + "[" * 100_000, "line 1: maximum recursion depth"),
        ("a.csv", "a,b,a\n1,2,3", "the field a occurs twice"),
        ("a.csv", "a,b\n1,2\n1,2,3", "row 2: it has 3 fields, the header 2"),
        ("a.csv", "a,b\n1", "row 1: it has 1 fields, the header 2"),
        ("a.csv", 'a,b\n1,"2', "not CSV: unexpected end of data"),
        ("a.txt", b"PAR1\x00\xff", "not UTF-8 text"),
        ("a.parquet", b"PAR1\x00\xff", "cannot be read: .*Parquet"),
    ],
)
def test_what_is_malformed_is_one_line_that_says_where(tmp_path, name: str, content, said: str):
    with pytest.raises(ConfigError, match=rf"^data\.path=.*{name}\b.*{said}") as caught:
        read(tmp_path, name, content)
    assert "\n" not in str(caught.value)


def test_cells_that_share_a_file_read_it_once_and_an_edited_one_again(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(rows, "read_file", lambda path: seen.append(path) or json.dumps(ONE))
    for content in ("1", "1", "2", "2"):
        read_rows(str(tmp_path / "shared.jsonl"), content)
    assert len(seen) == 2


def test_parquet_gives_the_same_rows(tmp_path):
    pd.DataFrame([ONE]).to_parquet(tmp_path / "a.parquet")
    assert [dict(row) for row in read_rows(str(tmp_path / "a.parquet"), None)] == [ONE]
