"""A query's text as the token ids that the model sees before the target."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils import chat_template_utils

from memlaw.config.values import check_characters, check_choice
from memlaw.core.errors import ConfigError, one_line, spelled

CHAT_TEMPLATES = ("auto", "off")

FIXED_DATE = "26 Jul 2024"
"""What chat templates take for today, so that token ids are the same on every day."""

SYSTEM = "You are a helpful assistant."
"""The system turn for templates that demand one."""


class _FixedDay(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> "_FixedDay":
        return cls.strptime(FIXED_DATE, "%d %b %Y")


def _parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


_FORMS: tuple[Callable[[str], list[dict[str, Any]]], ...] = (
    lambda query: [{"role": "user", "content": query}],
    lambda query: [{"role": "user", "content": _parts(query)}],
    lambda query: [{"role": "system", "content": SYSTEM}, {"role": "user", "content": query}],
    lambda query: [{"role": "system", "content": _parts(SYSTEM)}, {"role": "user", "content": _parts(query)}],
)
"""Conversations that templates take, the usual one first."""


def check_query(query: Any, chat_template: Any) -> None:
    """Refuse impossible values of `data.query` and `data.chat_template`.

    Raises:
        ConfigError: naming the key and what is allowed.
    """
    if not isinstance(query, str):
        raise ConfigError(f"data.query={spelled(query)} is not a text")
    check_characters("data.query", query)
    check_choice("data.chat_template", chat_template, CHAT_TEMPLATES)


def query_ids(
    tokenizer: PreTrainedTokenizerBase, query: str, chat_template: str, where: str = "data.query"
) -> tuple[int, ...]:
    """Tokenize a query; never empty, since the first target token needs a token before it.

    Args:
        tokenizer: the base model's.
        query: what the user asks.
        chat_template: `auto` wraps the query as a user turn and opens the assistant's where the tokenizer
            has a chat template; `off` never does.
        where: what the query is, for errors.

    Raises:
        ConfigError: `chat_template` is neither of the two, the template takes no query, or the query has no tokens.
    """
    check_query(query, chat_template)
    if chat_template == "auto" and tokenizer.chat_template:
        ids = tokenizer(_prompt(tokenizer, query), add_special_tokens=False)["input_ids"]  # the template writes them
    else:
        ids = tokenizer(query)["input_ids"]
    if not ids:
        raise ConfigError(f"{where} has no tokens; give the query some text")
    return tuple(ids)


def _prompt(tokenizer: PreTrainedTokenizerBase, query: str) -> str:
    """What the template writes around the query, of the first form in which it takes it.

    Raises:
        ConfigError: it takes none, or leaves the query out.
    """
    causes = []
    for form in _FORMS:
        try:
            text, other = (_rendered(tokenizer, form(asked)) for asked in (query, f"{query} {query}"))
        except Exception as error:  # a template is a program of its own, and fails in its own ways
            causes.append(one_line(error))
            continue
        if not query.strip() or (_holds(text, query) and text != other):
            return text
        causes.append("it leaves the query out")
    raise ConfigError(
        f"data.chat_template=auto: the tokenizer's chat template cannot be used: {causes[0]}; "
        "data.chat_template=off does without it"
    )


def _holds(text: str, query: str) -> bool:
    """Whether a text holds a query: as it is, or as JSON, with whatever white space."""
    spellings = (query, *(json.dumps(query, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)))
    squeezed = " ".join(text.split())
    return any(" ".join(spelling.split()) in squeezed for spelling in spellings)


def _rendered(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, Any]]) -> str:
    with _fixed_day():
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, date_string=FIXED_DATE
        )
    return str(text)


@contextmanager
def _fixed_day() -> Iterator[None]:
    """Let the `strftime_now` of templates, which reads the clock, find the fixed date."""
    clock = chat_template_utils.datetime
    chat_template_utils.datetime = _FixedDay  # type: ignore[misc]
    try:
        yield
    finally:
        chat_template_utils.datetime = clock  # type: ignore[misc]


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenize plain text without any special token."""
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
