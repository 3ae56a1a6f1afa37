"""Turns a query into the token ids that the model reads before the target."""

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
"""The current date for chat templates, so that token ids are the same on every day."""

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
"""Forms of conversations to try with a template, the usual form first."""


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
    """Tokenize a query. The result is never empty, since the first target token needs a token before it.

    Args:
        tokenizer: the base model's.
        query: the user's text.
        chat_template: `auto` wraps the query as a user turn and opens the assistant's turn, if the tokenizer has a chat
            template; `off` never does.
        where: name of the query in errors.

    Raises:
        ConfigError: `chat_template` is neither of the two, the template fails, or the query has no tokens.
    """
    check_query(query, chat_template)
    if chat_template == "auto" and tokenizer.chat_template:
        ids = tokenizer(_prompt(tokenizer, query), add_special_tokens=False)["input_ids"]  # the template adds them
    else:
        ids = tokenizer(query)["input_ids"]
    if not ids:
        raise ConfigError(f"{where} has no tokens; give the query some text")
    return tuple(ids)


def _prompt(tokenizer: PreTrainedTokenizerBase, query: str) -> str:
    """Render the template with the query, in the first of `_FORMS` that works.

    Raises:
        ConfigError: none works: the template fails, or leaves the query out.
    """
    causes = []
    for form in _FORMS:
        try:
            text, other = (_rendered(tokenizer, form(content)) for content in (query, f"{query} {query}"))
        except Exception as error:  # templates are programs and may raise anything
            causes.append(one_line(error))
            continue
        if not query.strip() or (_contains(text, query) and text != other):
            return text
        causes.append("it leaves the query out")
    raise ConfigError(
        f"data.chat_template=auto: the tokenizer's chat template cannot be used: {causes[0]}; "
        "data.chat_template=off leaves it out"
    )


def _contains(text: str, query: str) -> bool:
    """Tell whether a text contains a query, verbatim or as JSON, apart from white space."""
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
    """Let the templates' `strftime_now` read the fixed date in place of the clock."""
    clock = chat_template_utils.datetime
    chat_template_utils.datetime = _FixedDay  # type: ignore[misc]
    try:
        yield
    finally:
        chat_template_utils.datetime = clock  # type: ignore[misc]


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenize plain text without any special token."""
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
