import json

import pytest

from memlaw.core.errors import ConfigError
from memlaw.core.files import file_hash
from memlaw.data.long_context import from_file, from_hub
from memlaw.models.random_weights import byte_tokenizer

TOKENIZER = byte_tokenizer(512)


def test_a_text_file_is_tokenized_whole(tmp_path):
    path = tmp_path / "text with space.txt"
    path.write_text("Ünïcode text, long enough.", encoding="utf-8")
    memory = from_file("text", 0.0, "Recite.", "auto", str(path), None, 0).build(TOKENIZER, 12, 0)
    assert TOKENIZER.decode(memory.pairs[0].target_ids).startswith("Ünïcode")


def test_a_file_that_was_edited_since_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("before")
    source = from_file("text", 0.0, "q", "auto", str(path), file_hash(str(path)), 0)
    assert source.build(TOKENIZER, 6, 0).target_tokens == 6
    path.write_text("after!")
    with pytest.raises(ConfigError, match="edited since"):
        source.build(TOKENIZER, 6, 0)


def test_a_jsonl_row_brings_its_question(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"question": "A?", "matching": "first text"}, {"question": "B?", "matching": "second text"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    pair = from_file("text", 0.0, "unused", "off", str(path), None, 1).build(TOKENIZER, 6, 0).pairs[0]
    assert TOKENIZER.decode(pair.query_ids) == "B?"
    assert TOKENIZER.decode(pair.target_ids) == "second"


@pytest.mark.parametrize(
    ("content", "row", "message"),
    [
        ('{"text": "abc"}', 1, r"data\.row=1 is not a row"),
        ('{"other": "abc"}', 0, "needs the fields question and matching"),
        ("{broken", 0, "line 1"),
        ('{"text": "abc"}', 0, "which has 3 tokens"),
        ('{"text": null}', 0, r"rows\.jsonl, data\.row=0, field text: null is not text"),
        ('{"text": "a"}\n{"text": ["p1", "p2"]}', 1, r"data\.row=1, field text: a list is not text"),
        ('{"question": null, "matching": "abc"}', 0, "field question: null is not text"),
        ('{"conversations": [{"from": "human"}]}', 0, r"has \['conversations'\]; allowed are \.jsonl"),
    ],
)
def test_unusable_files_are_refused(tmp_path, content: str, row: int, message: str):
    path = tmp_path / "rows.jsonl"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        from_file("text", 0.0, "q", "auto", str(path), None, row).build(TOKENIZER, 8, 0)


def test_a_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"data\.path=/no/such\.txt"):
        from_file("text", 0.0, "q", "auto", "/no/such.txt", None, 0).build(TOKENIZER, 8, 0)


def test_a_local_data_set_directory_is_read(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "train.jsonl").write_text(json.dumps({"text": "a text of the set"}))
    source = from_hub("hub", 0.0, "q", "auto", str(tmp_path / "set"), None, "train", 0)
    assert TOKENIZER.decode(source.build(TOKENIZER, 6, 0).pairs[0].target_ids) == "a text"


@pytest.mark.slow
def test_a_data_set_that_cannot_be_had_is_named():
    with pytest.raises(ConfigError, match=r"data\.path=no/such_set"):
        from_hub("hub", 0.0, "q", "auto", "no/such_set", None, "train", 0).build(TOKENIZER, 6, 0)


def test_only_what_a_cell_reads_is_checked(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "abc"}\n{"text": null}')
    from_file("text", 0.0, "q", "auto", str(path), None, 0).check()
    with pytest.raises(ConfigError, match=r"data\.row=1"):
        from_file("text", 0.0, "q", "auto", str(path), None, 1).check()
    from_file("text", 1.0, "q", "auto", "/no/such.txt", None, 0).check()
    with pytest.raises(ConfigError, match=r"data\.path=/no/such\.txt"):
        from_file("text", 0.5, "q", "auto", "/no/such.txt", None, 0).check()


def test_an_empty_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(ConfigError, match=r"a\.txt is an empty file"):
        from_file("text", 0.0, "q", "auto", str(tmp_path / "a.txt"), None, 0).check()


@pytest.mark.parametrize(
    ("subset", "split", "key"), [(3, "train", "subset"), (None, None, "split"), (None, ["a"], "split")]
)
def test_a_data_set_is_named_by_texts(subset, split, key: str):
    with pytest.raises(ConfigError, match=rf"^data\.{key}=.* is not a name"):
        from_hub("hub", 0.0, "q", "auto", "org/set", subset, split, 0)
