from memlaw.data import prose
from memlaw.models.random_weights import byte_tokenizer

TOKENIZER = byte_tokenizer(512)


def test_the_prose_is_long_enough_and_never_repeats_a_sentence():
    stream = prose.sentences(0)
    written, words = set(), 0
    while words < 32_000:
        sentence = next(stream)
        assert sentence not in written
        written.add(sentence)
        words += len(sentence.split())
