import json
import math
from itertools import islice

import pytest
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from memlaw.core.errors import ConfigError
from memlaw.core.files import file_hash
from memlaw.data.phonebook import from_file, invented
from memlaw.models.random_weights import byte_tokenizer

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
    assert len({pair.query for pair in rows}) == 8000
    assert all(len(pair.target) == 10 for pair in rows)


def test_token_ids_are_the_same_on_every_machine():
    assert book(200, seed=1).fingerprint == "f88ce2b79db8c772"


def test_numbers_have_the_entropy_of_their_digits():
    assert book(200).source_entropy_nats == pytest.approx(math.log(10))


def merging(pairs: list[str], pre_tokenizer: pre_tokenizers.PreTokenizer) -> PreTrainedTokenizerFast:
    """The byte tokenizer with a token for each of these pairs of digits."""
    backend = json.loads(TOKENIZER.backend_tokenizer.to_str())
    backend["model"]["vocab"] |= {pair: 600 + number for number, pair in enumerate(pairs)}
    backend["model"]["merges"] = [list(pair) for pair in pairs]
    tokenizer = Tokenizer.from_str(json.dumps(backend))
    tokenizer.pre_tokenizer = pre_tokenizer
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def test_tokens_of_several_digits_share_the_entropy_of_the_number():
    in_twos = pre_tokenizers.Split(Regex(r"\d\d"), "isolated")
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = merging([f"{n:02d}" for n in range(100)], pre_tokenizers.Sequence([in_twos, bytewise]))
    memory = invented("p", "{name}", "off").build(tokenizer, 50, 0)
    assert len(memory.pairs) == 10
    assert memory.source_entropy_nats == pytest.approx(2 * math.log(10))


def test_tokens_that_vary_in_number_or_lose_digits_have_no_known_entropy():
    varying = merging(["00"], pre_tokenizers.ByteLevel(add_prefix_space=False))
    memory = invented("p", "{name}", "off").build(varying, 400, 0)
    assert len({len(pair.target_ids) for pair in memory.pairs}) > 1
    assert memory.source_entropy_nats is None
    lossy = byte_tokenizer(512)
    lossy.backend_tokenizer.normalizer = normalizers.Replace(Regex(r"\d"), "a")
    assert invented("p", "{name}", "off").build(lossy, 20, 0).source_entropy_nats is None


def test_a_table_file_is_read(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text("\n".join(json.dumps({"query": f"q{i}", "target": f"ans{i}"}) for i in range(3)))
    memory = from_file("table", "off", str(path), None).build(TOKENIZER, 12, 0)
    assert memory.source_entropy_nats is None
    assert [TOKENIZER.decode(pair.target_ids) for pair in memory.pairs] == ["ans0", "ans1", "ans2"]
    with pytest.raises(ConfigError, match="which has 12 target tokens"):
        from_file("table", "off", str(path), None).build(TOKENIZER, 13, 0)


def test_a_table_without_the_fields_is_refused(tmp_path):
    path = tmp_path / "table.jsonl"
    path.write_text(json.dumps({"name": "x", "number": "1"}))
    with pytest.raises(ConfigError, match="cannot guess query and target"):
        from_file("table", "off", str(path), None).build(TOKENIZER, 12, 0)


def test_a_query_without_a_place_for_the_name_is_refused():
    with pytest.raises(ConfigError, match=r"data\.query"):
        invented("phonebook", "Number?", "auto")


def test_a_length_without_room_for_one_row_is_refused():
    with pytest.raises(ConfigError, match="no room"):
        book(9)


def table(tmp_path, *rows: dict, chat_template: str = "off"):
    path = tmp_path / "table.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return from_file("table", chat_template, str(path), file_hash(str(path)))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query": "B?", "target": None}, "row 2, field target: null is not text"),
        ({"query": [{"role": "user"}], "target": "x"}, "row 2, field query: a list is not text"),
        ({"query": "B?", "target": ""}, "row 2, field target is empty"),
        ({"query": "A?", "target": "other"}, "row 2: the model gets the same query as in row 1"),
        ({"query": "A?", "target": "first"}, "row 2: the model gets the same query as in row 1"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "needs the field query, .* it has \\['messages'\\]"),
    ],
)
def test_a_row_that_cannot_be_stored_is_refused_before_there_is_a_tokenizer(tmp_path, row: dict, said: str):
    source = table(tmp_path, {"query": "A?", "target": "first"}, row)
    with pytest.raises(ConfigError, match=rf"^data\.path=.*table\.jsonl, row 2.*{said.removeprefix('row 2')}"):
        source.check()
    with pytest.raises(ConfigError, match=said):
        source.build(TOKENIZER, 5, 0)


def test_whole_numbers_are_targets(tmp_path):
    memory = table(tmp_path, {"query": "A?", "target": 12345}).build(TOKENIZER, 5, 0)
    assert TOKENIZER.decode(memory.pairs[0].target_ids) == "12345"


def test_rows_of_any_number_are_counted_until_the_length_is_reached(tmp_path):
    rows = [{"query": f"q{number}", "target": "x"} for number in range(30)]
    assert len(table(tmp_path, *rows).build(TOKENIZER, 30, 0).pairs) == 30
    with pytest.raises(ConfigError, match="which has 30 target tokens"):
        table(tmp_path, *rows).build(TOKENIZER, 31, 0)


def test_a_target_without_tokens_is_refused(tmp_path):
    tokenizer = byte_tokenizer(512)
    tokenizer.backend_tokenizer.normalizer = normalizers.Strip()
    source = table(tmp_path, {"query": "A?", "target": "abc"}, {"query": "B?", "target": "  "})
    with pytest.raises(ConfigError, match="row 2: the tokenizer makes no token of its target"):
        source.build(tokenizer, 5, 0)


def test_two_queries_that_are_one_to_the_model_are_refused(tmp_path):
    source = table(
        tmp_path, {"query": "Same?", "target": "abc"}, {"query": "Same? ", "target": "def"}, chat_template="auto"
    )
    source.check()
    assert len(source.build(TOKENIZER, 6, 0).pairs) == 2
    tokenizer = byte_tokenizer(512)
    tokenizer.chat_template = "[user]{{ messages[0].content | trim }}"
    with pytest.raises(ConfigError, match="row 2: the model gets the same query as in row 1"):
        source.build(tokenizer, 6, 0)


def test_a_table_of_names_has_a_prompt_for_each_whatever_content_its_template_takes():
    tokenizer = byte_tokenizer(512)
    tokenizer.chat_template = "{% for part in messages[0].content %}{{ part.text }}{% endfor %}"
    memory = invented("phonebook", "Number of {name}?", "auto").build(tokenizer, 200, 0)
    assert len({pair.query_ids for pair in memory.pairs}) == 20


@pytest.mark.parametrize("path", [None, 3, ["a"], ""])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(ConfigError, match=r"^data\.path=.* is not the path of a file"):
        from_file("table", "off", path, None)
