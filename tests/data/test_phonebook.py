import json
from itertools import islice

import pytest

from memlaw.data.phonebook import from_file, invented
from memlaw.errors import ConfigError
from memlaw.random_model import byte_tokenizer

TOKENIZER = byte_tokenizer(512)


def book(seq_len: int, seed: int = 0):
    return invented("phonebook", "Number of {name}?", "auto").build(TOKENIZER, seq_len, seed)


def test_the_length_counts_target_tokens_over_the_table():
    memory = book(200)
    assert memory.target_tokens == 200
    assert len(memory.pairs) == 20
    assert all(TOKENIZER.decode(pair.target_ids).isdigit() for pair in memory.pairs)


def test_a_shorter_table_is_a_prefix_and_whole_rows_only():
    assert book(95).pairs == book(200).pairs[:9]


def test_names_are_distinct_in_the_largest_table_of_the_paper():
    rows = list(islice(invented("p", "{name}", "off").source.rows(0), 8000))
    assert len({name for name, _ in rows}) == 8000
    assert all(len(number) == 10 for _, number in rows)


def test_token_ids_are_the_same_on_every_machine():
    assert book(200, seed=1).fingerprint == "f88ce2b79db8c772"


def test_a_table_file_is_read(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text("\n".join(json.dumps({"query": f"q{i}", "target": f"ans{i}"}) for i in range(3)))
    memory = from_file("table", "off", str(path), None).build(TOKENIZER, 12, 0)
    assert [TOKENIZER.decode(pair.target_ids) for pair in memory.pairs] == ["ans0", "ans1", "ans2"]
    with pytest.raises(ConfigError, match="which has 12 target tokens"):
        from_file("table", "off", str(path), None).build(TOKENIZER, 13, 0)


def test_a_table_without_the_fields_is_refused(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text(json.dumps({"name": "x", "number": "1"}))
    with pytest.raises(ConfigError, match="needs the fields query and target"):
        from_file("table", "off", str(path), None).build(TOKENIZER, 12, 0)


def test_a_query_without_a_place_for_the_name_is_refused():
    with pytest.raises(ConfigError, match=r"data\.query"):
        invented("phonebook", "Number?", "auto")


def test_a_length_without_room_for_one_row_is_refused():
    with pytest.raises(ConfigError, match="no room"):
        book(9)
