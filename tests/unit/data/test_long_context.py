import re
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from memlaw.core.errors import ConfigError
from memlaw.data import prose
from memlaw.data.long_context import fictional, from_file, ordinary_ids, replaced_positions
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


def test_uniform_tokens_have_the_entropy_of_their_number_and_a_text_has_none():
    entropy = build(1, 20).source_entropy_nats
    assert entropy == pytest.approx(np.log(len(ordinary_ids(TOKENIZER))))
    assert build(1, 300, seed=1).source_entropy_nats == entropy
    few = fictional("long_context", 1, "Recite.", "auto").build(TOKENIZER, 20, 0, known_ids=100)
    assert few.source_entropy_nats == pytest.approx(np.log(len(ordinary_ids(TOKENIZER, 100))))
    assert [build(ratio, 20).source_entropy_nats for ratio in (0.0, 0.5, 0.99)] == [None] * 3


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


@pytest.mark.parametrize("ratio", [-0.1, 1.1])
def test_a_ratio_outside_0_to_1_is_refused(ratio: float):
    with pytest.raises(ConfigError, match=r"data\.random_ratio"):
        fictional("x", ratio, "q", "auto")


def test_ids_that_the_model_does_not_know_are_not_drawn():
    known = range(100)
    assert set(ordinary_ids(TOKENIZER, len(known)).tolist()) <= set(known)
    assert ordinary_ids(TOKENIZER, 10**6).tolist() == ordinary_ids(TOKENIZER).tolist()
    drawn = fictional("x", 1.0, "q", "auto").build(TOKENIZER, 500, 0, len(known)).pairs[0].target_ids
    assert max(drawn) < len(known)


def merging_tokenizer() -> PreTrainedTokenizerFast:
    """One token a letter, and "ab" where both stand together: ids that are decoded come back as fewer."""
    vocabulary = {token: index for index, token in enumerate(["<unk>", *"abcdefgh", "ab"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[("a", "b")], unk_token="<unk>"))
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def random_target(tokenizer, seq_len: int, retokenize: bool) -> tuple[int, ...]:
    source = fictional("x", 1.0, "abc", "off", retokenize=retokenize)
    return source.build(tokenizer, seq_len, 0).pairs[0].target_ids


def test_retokenized_random_text_is_what_the_tokenizer_makes_of_the_decoded_ids():
    tokenizer = merging_tokenizer()
    letters = "".join(tokenizer.convert_ids_to_tokens(random_target(tokenizer, 5000, False)))[:4096]
    apart = re.findall("ab|.", letters)
    assert len(apart) < len(letters)
    target = random_target(tokenizer, 3000, True)
    assert tokenizer.convert_ids_to_tokens(target) == apart[:3000]


@pytest.mark.parametrize("tokenizer", [merging_tokenizer(), TOKENIZER], ids=["merges", "splits"])
def test_a_retokenized_target_has_its_length_and_shorter_ones_are_prefixes(tokenizer):
    long = random_target(tokenizer, 9000, True)
    assert len(long) == 9000
    for length in (1, 100, 4000, 4096, 4097, 8999):
        assert random_target(tokenizer, length, True) == long[:length]


def test_retokenized_text_ends_where_its_tokens_do(tmp_path):
    path = tmp_path / "letters.txt"
    path.write_text("ab" * 50)
    source = from_file("text", 0.5, "abc", "off", str(path), None, 0, retokenize=True)
    tokens = len(source.build(merging_tokenizer(), 30, 0).pairs[0].target_ids)
    assert tokens == 30
    with pytest.raises(ConfigError, match="seq_len=101 is longer than the text, which has"):
        source.build(merging_tokenizer(), 101, 0)


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
