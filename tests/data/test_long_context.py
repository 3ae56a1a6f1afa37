import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memlaw.cell import file_hash
from memlaw.data import prose
from memlaw.data.long_context import fictional, from_file, from_hub, ordinary_ids, replaced_positions
from memlaw.data.memory import Memory
from memlaw.errors import ConfigError
from memlaw.random_model import byte_tokenizer

TOKENIZER = byte_tokenizer(512)


def build(ratio: float, seq_len: int, seed: int = 0) -> Memory:
    return fictional("long_context", ratio, "Recite.", "auto").build(TOKENIZER, seq_len, seed)


def target(ratio: float, seq_len: int, seed: int = 0) -> tuple[int, ...]:
    return build(ratio, seq_len, seed).pairs[0].target_ids


@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_a_shorter_target_is_a_prefix_of_a_longer_one(a: int, b: int, ratio: float, seed: int):
    short, long = sorted((a, b))
    assert target(ratio, long, seed)[:short] == target(ratio, short, seed)


@given(st.integers(1, 400), st.floats(0, 1), st.floats(0, 1), st.integers(0, 20))
def test_positions_replaced_at_a_lower_ratio_are_replaced_at_a_higher(length: int, a: float, b: float, seed: int):
    low, high = (replaced_positions(length, ratio, seed) for ratio in sorted((a, b)))
    assert not (low & ~high).any()


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_the_replaced_share_is_exact_over_whole_blocks(ratio: float):
    for seed in range(20):
        assert replaced_positions(200, ratio, seed).mean() == pytest.approx(ratio)


def test_a_lower_ratio_keeps_more_of_the_text():
    text = np.array(target(0, 500))
    kept = [(np.array(target(ratio, 500)) == text).mean() for ratio in (0.2, 0.4, 0.6, 0.8, 1.0)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == pytest.approx(0.8, abs=0.02)
    assert kept[-1] < 0.05


def test_token_ids_are_the_same_on_every_machine():
    assert build(0.5, 300, seed=3).fingerprint == "2e65fd7f3691e480"


def test_seeds_give_different_targets():
    assert len({target(ratio, 50, seed) for seed in range(5) for ratio in (0.0, 1.0)}) == 10


def test_random_tokens_are_ordinary_ones_and_cover_the_vocabulary():
    ordinary = set(ordinary_ids(TOKENIZER).tolist())
    assert TOKENIZER.eos_token_id not in ordinary
    assert ordinary == set(range(512)) - {TOKENIZER.eos_token_id}
    assert set(target(1, 20_000)) == ordinary


def test_added_and_reserved_tokens_are_not_ordinary():
    tokenizer = byte_tokenizer(300)
    tokenizer.add_tokens(["<added>"])
    vocabulary = tokenizer.get_vocab()
    assert vocabulary["<added>"] not in ordinary_ids(tokenizer)
    assert vocabulary["<filler0>"] in ordinary_ids(tokenizer)


def test_the_prose_is_long_enough_and_never_repeats_a_sentence():
    stream = prose.sentences(0)
    written, words = set(), 0
    while words < 32_000:
        sentence = next(stream)
        assert sentence not in written
        written.add(sentence)
        words += len(sentence.split())


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_a_ratio_outside_0_to_1_is_refused(ratio: float):
    with pytest.raises(ConfigError, match=r"data\.random_ratio"):
        fictional("x", ratio, "q", "auto")


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
