"""Text coloured by probability: classes, marks, order, and what is left out."""

import numpy as np
import pandas as pd
import pytest
from memlaw_analysis.pages.text import LEGEND, Text, stubborn_texts, visible_text


def tokens(p: list[float], pair: int = 0, wrong: tuple[int, ...] = (), texts: list[str | None] | None = None):
    """The tokens of a pair; at the positions `wrong`, token 99, `rival`, has p = 0.6."""
    ids = np.arange(len(p))
    rival = np.isin(ids, wrong)
    return pd.DataFrame(
        {
            "pair": pair, "position": ids, "token_id": ids, "token": texts or [f"t{index}" for index in ids],
            "nll": -np.log(p), "argmax_id": np.where(rival, 99, ids), "argmax": np.where(rival, "rival", "t"),
            "argmax_nll": -np.log(np.where(rival, 0.6, p)),
        }
    )  # fmt: skip


def only(rows: pd.DataFrame, most_tokens: int = 100) -> Text:
    (text,), left_out = stubborn_texts(rows, {0: "heading"}, 1, most_tokens)
    assert left_out == 0
    return text


def test_each_level_of_p_has_its_class_and_p_up_to_one_half_is_marked_without_colour():
    text = only(tokens([0.005, 0.009, 0.05, 0.3, 0.5, 0.6, 0.95, 0.999]))
    assert [token.classes for token in text.tokens] == [
        "p0 stubborn", "p0 stubborn", "p1 stubborn", "p2 stubborn", "p2 stubborn", "p3", "p4", "p5"
    ]  # fmt: skip
    assert [name for _, name in LEGEND] == ["p0 stubborn", "p1 stubborn", "p2 stubborn", "p3", "p4", "p5"]


def test_the_first_wrong_token_alone_is_outlined_and_its_rival_is_named():
    text = only(tokens([0.9, 0.4, 0.2, 0.1], wrong=(2, 3)))
    assert ["failing" in token.classes for token in text.tokens] == [False, False, True, False]
    assert text.tokens[2].tooltip == "position 2: p = 0.2; more probable: “rival” has p = 0.6"
    assert text.failure == (
        "First failure at position 2: “t2” has p = 0.2, “rival” has p = 0.6. 3 of 4 tokens have p ≤ 0.5."
    )


def test_without_a_wrong_token_nothing_is_outlined():
    text = only(tokens([0.9, 0.4]))
    assert not any("failing" in token.classes for token in text.tokens)
    assert text.failure == "No other token is more probable anywhere. 1 of 2 tokens have p ≤ 0.5."


def test_the_most_stubborn_pairs_come_first_and_the_rest_is_counted():
    rows = pd.concat([tokens([0.9, p], pair) for pair, p in enumerate((0.5, 0.01, 0.9, 0.2))])
    texts, left_out = stubborn_texts(rows, {pair: f"pair {pair}" for pair in range(4)}, 2, 100)
    assert [text.heading for text in texts] == ["pair 1", "pair 3"]
    assert left_out == 2


def test_tokens_beyond_the_limit_are_left_out_and_counted():
    rows = pd.concat([tokens([0.1] * 5, 0), tokens([0.2] * 5, 1), tokens([0.3] * 5, 2)])
    texts, left_out = stubborn_texts(rows, dict.fromkeys(range(3), ""), 3, 8)
    assert [len(text.tokens) for text in texts] == [5, 3]
    assert texts[1].failure.endswith("The last 2 tokens are not shown.")
    assert left_out == 1


def test_a_failure_beyond_the_limit_is_still_said():
    text = only(tokens([0.9, 0.9, 0.1], wrong=(2,)), most_tokens=1)
    assert "First failure at position 2" in text.failure


def test_tokens_without_text_are_shown_as_their_id():
    text = only(tokens([0.9, 0.9, 0.9], texts=["", None, "x"]))
    assert [token.shown for token in text.tokens] == ["⟨0⟩", "⟨1⟩", "x"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a↵\nb"), ("\t", "⇥\t"), ("\x00\x1b", "⟨U+0000⟩⟨U+001B⟩"), ("\u202eabc\u2069", "⟨U+202E⟩abc⟨U+2069⟩"),
        ("שלום �", "שלום �"), ("👩\u200d👩", "👩\u200d👩"),
    ],
)  # fmt: skip
def test_what_has_no_picture_is_marked(text: str, shown: str):
    assert visible_text(text) == shown
