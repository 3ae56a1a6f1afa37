"""Finds the query and the target in the rows of a user's file: by the names of their fields."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from memlaw.config.values import check_characters
from memlaw.core.errors import ConfigError, shown
from memlaw.data.rows import field_text
from memlaw.data.turns import TextPair, Turn

MAX_CHARACTERS = 10_000_000
"""Longest text of a field. No context takes a longer one, and the tokenizer would take minutes to say so."""

ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant"}
"""Roles of ShareGPT conversations → those of chat templates; other roles stay as they are."""

Row = Mapping[str, Any]
Build = Callable[[Row, str], TextPair]
"""A row and its name in errors → its pair."""


@dataclass(frozen=True)
class Form:
    """A form of rows.

    Attributes:
        fields: names of the fields that a row must have.
        query_from, target_from: what becomes query and target, in words.
        build: makes a row's pair.
    """

    fields: tuple[str, ...]
    query_from: str
    target_from: str
    build: Build

    def pair(self, row: Row, where: str) -> TextPair:
        """Make a row's pair. Raises ConfigError that names the row and the field that it lacks or that is malformed."""
        lacking = [field for field in self.fields if field not in row]
        if lacking:
            raise ConfigError(f"{where}: needs the field {lacking[0]}, as the first row has it; it has {sorted(row)}")
        return self.build(row, where)


@dataclass(frozen=True)
class TextPairs:
    """The pairs of a file, in its order, and the form in which its rows hold them."""

    pairs: tuple[TextPair, ...]
    form: Form


def text_pairs(
    rows: Sequence[Row], name: str, query_field: str | None = None, target_field: str | None = None
) -> TextPairs:
    """Find the pairs in the rows of a file.

    Args:
        rows: at least one.
        name: of the file in errors.
        query_field, target_field: as in `form_of`.

    Raises:
        ConfigError: the rows have no known form, or a row lacks a field or has one that is malformed.
    """
    form = form_of(rows[0], f"{name}, row 1", query_field, target_field)
    return TextPairs(tuple(form.pair(row, f"{name}, row {number}") for number, row in enumerate(rows, start=1)), form)


def form_of(row: Row, where: str, query_field: str | None = None, target_field: str | None = None) -> Form:
    """Choose the form of a file's rows by its first row.

    Args:
        row: the first row.
        where: its name in errors.
        query_field, target_field: fields that hold query and target; None: guessed by their names.

    Raises:
        ConfigError: only one field is given, the row lacks it, or its fields have no known form.
    """
    if (query_field is None) != (target_field is None):
        raise ConfigError(f"{where}: give the fields of both query and target, or of neither; it has {sorted(row)}")
    if query_field is not None and target_field is not None:
        return _plain(query_field, target_field)
    for form in FORMS:
        if all(row.get(field) is not None for field in form.fields):
            return form
    known = "; ".join(" and ".join(form.fields) for form in FORMS)
    raise ConfigError(f"{where}: cannot guess query and target from the fields {sorted(row)}; known are {known}")


def _text(row: Row, field: str, where: str) -> str:
    text = field_text(row, field, where)
    _check_length(text, field, where)
    return text


def _check_length(text: str, field: str, where: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(
            f"{where}, field {field}: {len(text):,} characters; allowed are at most {MAX_CHARACTERS:,} of a text"
        )


def _plain(query: str, target: str) -> Form:
    """Two fields of text."""

    def build(row: Row, where: str) -> TextPair:
        return TextPair.of(_text(row, query, where), _text(row, target, where))

    return Form((query, target), query, target, build)


def _instruction(row: Row, where: str) -> TextPair:
    """An instruction, with an empty line and the input below it if there is one."""
    query = _text(row, "instruction", where)
    if row.get("input"):
        query = f"{query}\n\n{_text(row, 'input', where)}"
    return TextPair.of(query, _text(row, "output", where))


def _completion(row: Row, where: str) -> TextPair:
    """A prompt and a completion: texts, or lists of turns."""
    prompt, completion = (_decoded(row[field]) for field in ("prompt", "completion"))
    if isinstance(prompt, str) and isinstance(completion, str):
        return TextPair.of(_text(row, "prompt", where), _text(row, "completion", where))
    before = (
        (Turn("user", _text(row, "prompt", where)),) if isinstance(prompt, str) else _turns(prompt, "prompt", where)
    )
    if isinstance(completion, str):
        return TextPair(before, _text(row, "completion", where))
    return TextPair(before, _turns(completion, "completion", where)[-1].content)


def _conversation(field: str) -> Build:
    """A list of turns; the last one of the assistant is the target."""

    def build(row: Row, where: str) -> TextPair:
        turns = _turns(_decoded(row[field]), field, where)
        last = max((index for index, turn in enumerate(turns) if turn.role == "assistant"), default=0)
        if not last:
            raise ConfigError(
                f"{where}, field {field}: no assistant turn after another turn, which would be the target"
            )
        return TextPair(turns[:last], turns[last].content)

    return build


def _decoded(value: Any) -> Any:
    """A list that a CSV file holds as JSON, or the value as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError):
            decoded = json.loads(value)
            return decoded if decoded and isinstance(decoded[0], dict) else value
    return value


def _turns(value: Any, field: str, where: str) -> tuple[Turn, ...]:
    """Turns with `role` and `content`, or with `from` and `value` as in ShareGPT."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise ConfigError(f"{where}, field {field}: not a list of turns; it is {shown(str(value))}")
    return tuple(_turn(turn, field, f"{where}, turn {number}") for number, turn in enumerate(value, start=1))


def _turn(turn: Any, field: str, where: str) -> Turn:
    if isinstance(turn, Mapping):
        for role, content in (("role", "content"), ("from", "value")):
            if turn.get(role) is not None and content in turn:
                name, text = str(turn[role]), _content(turn[content], field, where)
                return Turn(ROLES.get(name, name), text)
    raise ConfigError(f"{where}, field {field}: needs role and content, or from and value; it is {shown(str(turn))}")


def _content(content: Any, field: str, where: str) -> str:
    """The text of a turn; of a list of parts, that of its text parts."""
    if isinstance(content, Sequence) and not isinstance(content, str):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        texts = [part for part in parts if isinstance(part, str)]
        if len(texts) < len(parts):
            raise ConfigError(f"{where}, field {field}: a part that is not text cannot be read")
        content = "".join(texts)
    if not isinstance(content, str) or not content:
        raise ConfigError(f"{where}, field {field}: the turn has no text")
    _check_length(content, field, where)
    check_characters(f"{where}, field {field}", content)
    return content


def _turn_form(field: str) -> Form:
    return Form((field,), f"the turns of {field} before the assistant's last", "that turn", _conversation(field))


FORMS = (
    _plain("query", "target"),
    _turn_form("messages"),
    _turn_form("conversations"),
    Form(("prompt", "completion"), "prompt", "completion", _completion),
    Form(("instruction", "output"), "instruction, and input below it", "output", _instruction),
    _plain("question", "answer"),
    _plain("question", "matching"),
)
"""Known forms of rows; the first that fits is taken."""
