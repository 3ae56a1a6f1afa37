import json
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from memlaw.core.errors import ConfigError
from memlaw.core.files import file_hash
from memlaw.data import prose
from memlaw.data.long_context import fictional, from_file, from_hub, ordinary_ids, replaced_positions
from memlaw.data.memory import Memory
from memlaw.models.random_weights import byte_tokenizer

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
        ('{"text": null}', 0, r"rows\.jsonl, data\.row=0, field text: null is no text"),
        ('{"text": "a"}\n{"text": ["p1", "p2"]}', 1, r"data\.row=1, field text: a list is no text"),
        ('{"question": null, "matching": "abc"}', 0, "field question: null is no text"),
        ('{"conversations": [{"from": "human"}]}', 0, r"has \['conversations'\]; read are \.jsonl"),
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


def test_ids_that_the_model_does_not_know_are_not_drawn():
    known = range(100)
    assert set(ordinary_ids(TOKENIZER, len(known)).tolist()) <= set(known)
    assert ordinary_ids(TOKENIZER, 10**6).tolist() == ordinary_ids(TOKENIZER).tolist()
    drawn = fictional("x", 1.0, "q", "auto").build(TOKENIZER, 500, 0, len(known)).pairs[0].target_ids
    assert max(drawn) < len(known)


def prefixing_tokenizer(normalizer, pre_tokenizer, decoder) -> PreTrainedTokenizerFast:
    """One token a character, the space a "▁" that also stands before every text."""
    vocabulary = {token: index for index, token in enumerate(["<unk>", "▁", *map(chr, range(33, 127))])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


PREFIXING = {
    "Llama 2's": (
        normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]),
        None,
        decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)]),
    ),
    "T5's": (None, pre_tokenizers.Metaspace(prepend_scheme="always"), decoders.Metaspace(prepend_scheme="always")),
}


@pytest.mark.parametrize("kind", [*PREFIXING, "bytes"])
def test_the_target_reads_like_the_prose_and_stays_a_prefix(kind: str):
    tokenizer = prefixing_tokenizer(*PREFIXING[kind]) if kind in PREFIXING else TOKENIZER
    prose_of_the_seed = " ".join(islice(prose.sentences(0), 20))
    build = fictional("long_context", 0.0, "Recite.", "auto").build
    long = build(tokenizer, 600, 0).pairs[0].target_ids
    read = tokenizer.decode(long, clean_up_tokenization_spaces=False)
    assert len(read) > 500
    assert prose_of_the_seed.startswith(read)
    for length in range(1, 600, 37):
        assert build(tokenizer, length, 0).pairs[0].target_ids == long[:length]
