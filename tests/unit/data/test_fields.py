import json

import pytest

from memlaw.core.errors import ConfigError
from memlaw.data import fields
from memlaw.data.fields import form_of, text_pairs
from memlaw.data.turns import TextPair, Turn

ONE = TextPair.of("Who?", "Ada")
CHAT = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Ada"}]
SHAREGPT = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Ada"}]


@pytest.mark.parametrize(
    "row",
    [
        {"query": "Who?", "target": "Ada", "id": 3},
        {"messages": CHAT},
        {"messages": [*CHAT, {"role": "user", "content": "Thanks"}]},
        {"messages": json.dumps(CHAT)},
        {"messages": SHAREGPT},
        {"conversations": SHAREGPT},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Who?"}]}, CHAT[1]]},
        {"prompt": "Who?", "completion": "Ada"},
        {"prompt": CHAT[:1], "completion": CHAT[1:]},
        {"prompt": CHAT[:1], "completion": "Ada"},
        {"prompt": "Who?", "completion": CHAT[1:]},
        {"instruction": "Who?", "output": "Ada", "input": ""},
        {"question": "Who?", "answer": "Ada"},
        {"question": "Who?", "matching": "Ada"},
    ],
)
def test_known_forms_give_the_same_pair(row: dict):
    assert text_pairs([row], "file").pairs == (ONE,)


def test_an_input_stands_below_its_instruction():
    row = {"instruction": "Translate.", "input": "chat", "output": "cat"}
    assert text_pairs([row], "file").pairs == (TextPair.of("Translate.\n\nchat", "cat"),)


def test_turns_before_the_last_answer_are_read():
    turns = [{"role": "system", "content": "Be brief."}, *CHAT, {"role": "user", "content": "When?"}]
    (pair,) = text_pairs([{"messages": [*turns, {"role": "assistant", "content": "1815"}]}], "file").pairs
    assert pair.turns == (
        Turn("system", "Be brief."),
        Turn("user", "Who?"),
        Turn("assistant", "Ada"),
        Turn("user", "When?"),
    )
    assert pair.target == "1815"


def test_fields_can_be_named():
    row = {"q": "Who?", "a": "Ada", "query": "other", "target": "other"}
    found = text_pairs([row], "file", "q", "a")
    assert (found.pairs, found.form.query_from, found.form.target_from) == ((ONE,), "q", "a")
    with pytest.raises(ConfigError, match="both query and target"):
        form_of(row, "row 1", "q", None)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"a": "Who?"}, r"cannot guess query and target from the fields \['a'\]"),
        ({"query": "Who?", "target": ""}, "row 1, field target is empty"),
        ({"query": "Who?", "target": None, "messages": 3}, "field messages: not a list of turns"),
        ({"messages": CHAT[:1]}, "field messages: no assistant turn"),
        ({"messages": CHAT[1:]}, "field messages: no assistant turn"),
        ({"messages": [{"who": "me"}]}, "turn 1, field messages: needs role and content"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}, CHAT[1]]}, "not text cannot be read"),
        ({"messages": [{"role": "user", "content": ""}, CHAT[1]]}, "the turn has no text"),
        ({"prompt": [], "completion": "x"}, "field prompt: not a list of turns"),
    ],
)
def test_malformed_rows_are_named(row: dict, said: str):
    with pytest.raises(ConfigError, match=f"^file, row 1.*{said}|^file, {said}"):
        text_pairs([row], "file")


def test_a_later_row_must_have_the_fields_of_the_first():
    with pytest.raises(ConfigError, match=r"^file, row 2: needs the field target, as the first row has it"):
        text_pairs([{"query": "a", "target": "b"}, {"query": "a"}], "file")


def test_a_field_may_not_be_endless(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fields, "MAX_CHARACTERS", 9)
    with pytest.raises(ConfigError, match="row 2, field target: 10 characters; allowed are at most 9"):
        text_pairs([{"query": "a", "target": "b"}, {"query": "a", "target": "b" * 10}], "file")
