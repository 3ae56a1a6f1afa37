"""The text of a target, coloured by the probability of each token: what `text.html` shows."""

import math
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

LEVELS = (0.01, 0.1, 0.5, 0.9, 0.99)
"""Upper bounds of p of the colours, the last of which has none; the hue turns at 0.5."""

LEGEND = [
    *((f"≤ {bound:g}", f"p{index}{' stubborn' if bound <= 0.5 else ''}") for index, bound in enumerate(LEVELS)),
    (f"> {LEVELS[-1]:g}", f"p{len(LEVELS)}"),
]
"""Range of p and its classes, for each colour."""

_MARKS = {"\n": "↵\n", "\t": "⇥\t"}
_OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@dataclass(frozen=True)
class Token:
    """A target token as a page shows it.

    Attributes:
        shown: its text, with marks for what has no picture.
        classes: its classes in the style sheet.
        tooltip: its position and probability, and the most probable token where that is another.
    """

    shown: str
    classes: str
    tooltip: str


@dataclass(frozen=True)
class Text:
    """The text of a target as a page shows it.

    Attributes:
        heading: what it is the target of.
        tokens: its tokens, in order.
        failure: the first token that greedy decoding gets wrong and its rival, or that there is none.
    """

    heading: str
    tokens: list[Token]
    failure: str


def stubborn_texts(
    tokens: pd.DataFrame, headings: Mapping[int, str], most_pairs: int, most_tokens: int
) -> tuple[list[Text], int]:
    """Colour the targets with the least probable tokens, the most stubborn first.

    Args:
        tokens: a row per pair and target token in order: `pair`, `token_id`, `token`, `nll`, `argmax_id`, `argmax` and
            `argmax_nll`. A missing text is shown as its id.
        headings: what each pair's target is headed with.
        most_pairs: how many targets are shown.
        most_tokens: how many tokens are shown in all.

    Returns:
        The texts, and the number of pairs left out.
    """
    pairs = {int(pair): rows for pair, rows in tokens.groupby("pair")}
    order = sorted(pairs, key=lambda pair: (-pairs[pair]["nll"].max(), pair))
    texts: list[Text] = []
    for pair in order[:most_pairs]:
        if most_tokens <= 0:
            break
        texts.append(_text(pairs[pair], headings[pair], most_tokens))
        most_tokens -= len(texts[-1].tokens)
    return texts, len(order) - len(texts)


def _text(tokens: pd.DataFrame, heading: str, most_tokens: int) -> Text:
    """Colour the target of a pair, its first `most_tokens` tokens."""
    rows = list(tokens.itertuples(index=False))
    first = next((position for position, row in enumerate(rows) if row.token_id != row.argmax_id), None)
    shown = [_token(row, position, position == first) for position, row in enumerate(rows[:most_tokens])]
    return Text(heading, shown, " ".join([*_failure(rows, first), *_left_out(len(rows) - len(shown))]))


def _token(row: Any, position: int, failing: bool) -> Token:
    p = math.exp(-row.nll)
    level = bisect_left(LEVELS, p)
    classes = [LEGEND[level][1], *(["failing"] if failing else [])]
    rival = "" if row.token_id == row.argmax_id else f"; more probable: {_rival(row)}"
    return Token(_visible(row.token, row.token_id), " ".join(classes), f"position {position}: p = {p:.3g}{rival}")


def _failure(rows: Sequence[Any], first: int | None) -> Iterator[str]:
    if first is None:
        yield "No other token is more probable anywhere."
    else:
        own = f"{_quoted(rows[first].token, rows[first].token_id)} has p = {math.exp(-rows[first].nll):.3g}"
        yield f"First failure at position {first}: {own}, {_rival(rows[first])}."
    stubborn = sum(math.exp(-row.nll) <= 0.5 for row in rows)
    yield f"{stubborn} of {len(rows)} tokens have p ≤ 0.5."


def _left_out(tokens: int) -> Iterator[str]:
    if tokens:
        yield f"The last {tokens} tokens are not shown."


def _rival(row: Any) -> str:
    return f"{_quoted(row.argmax, row.argmax_id)} has p = {math.exp(-row.argmax_nll):.3g}"


def _quoted(token: object, token_id: int) -> str:
    return f"“{_visible(token, token_id).replace(chr(10), '')}”"


def _visible(token: object, token_id: int) -> str:
    """Return the visible text of a token; its id where it has none."""
    if not isinstance(token, str) or not token:
        return f"⟨{token_id}⟩"
    return visible_text(token)


def visible_text(text: str) -> str:
    """Return a text with marks for newlines, control characters and changes of direction."""
    return "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    if character in _MARKS:
        return _MARKS[character]
    if unicodedata.category(character) in {"Cc", "Cs"} or unicodedata.bidirectional(character) in _OVERRIDES:
        return f"⟨U+{ord(character):04X}⟩"
    return character
