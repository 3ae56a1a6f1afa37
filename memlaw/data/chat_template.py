"""Writes a query as a conversation, with the tokenizer's chat template."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from itertools import product
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils import chat_template_utils

from memlaw.core.errors import ConfigError, one_line

FIXED_DATE = "26 Jul 2024"
"""The current date for chat templates, so that token ids are the same on every day."""

SYSTEM = "You are a helpful assistant."
"""The system turn for templates that demand one."""

Form = Callable[[str], str | list[dict[str, str]]]
"""Makes the content of a turn from its text."""


class _FixedDay(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> "_FixedDay":
        return cls.strptime(FIXED_DATE, "%d %b %Y")


def conversation(
    tokenizer: PreTrainedTokenizerBase, query: str, system_prompt: str | None, arguments: Mapping[str, Any]
) -> str:
    """Write the turns up to the opening of the assistant's, in the first form that the template takes.

    Contents are offered as strings, then as lists of parts. Without a `system_prompt` the query stands alone, unless
    the template demands a system turn.

    Args:
        tokenizer: it has a chat template.
        query: text of the user's turn.
        system_prompt: text of the system turn; None: no such turn.
        arguments: arguments of the template beside the turns.

    Raises:
        ConfigError: the template lacks an argument, fails in every form, or leaves a turn out.
    """
    _check_arguments(tokenizer, arguments)
    causes = []
    systems = (None, SYSTEM) if system_prompt is None else (system_prompt,)
    forms: tuple[Form, ...] = (str, _parts)
    for system, content in product(systems, forms):
        turns = {"system prompt": system, "query": query}
        try:
            text = _rendered(tokenizer, turns, content, arguments)
            lost = [turn for turn in turns if _is_lost(turn, turns, text, tokenizer, content, arguments)]
        except Exception as error:  # templates are programs and may raise anything
            causes.append(one_line(error))
            continue
        if not lost:
            return text
        causes.append(f"it leaves the {lost[-1]} out")
    key = "data.chat_template=auto" if system_prompt is None else "data.system_prompt"
    remedy = "data.chat_template=off" if system_prompt is None else "data.system_prompt=null"
    raise ConfigError(f"{key}: the tokenizer's chat template cannot be used: {causes[0]}; {remedy} leaves it out")


def _check_arguments(tokenizer: PreTrainedTokenizerBase, arguments: Mapping[str, Any]) -> None:
    """Raise ConfigError for an argument whose name the template does not contain: it would have no effect."""
    for name in arguments:
        if not re.search(rf"\b{name}\b", str(tokenizer.chat_template)):
            raise ConfigError(
                f"data.template_arguments: the tokenizer's chat template has no argument {name}; "
                "data.template_arguments=null leaves all out"
            )


def _parts(text: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": text}]


def _is_lost(
    turn: str,
    turns: Mapping[str, str | None],
    text: str,
    tokenizer: PreTrainedTokenizerBase,
    content: Form,
    arguments: Mapping[str, Any],
) -> bool:
    """Tell whether `text` lacks a turn: it does not contain the turn, or does not change with it."""
    words = turns[turn]
    if words is None or not words.strip():
        return False
    other = _rendered(tokenizer, {**turns, turn: f"{words} {words}"}, content, arguments)
    return not _contains(text, words) or text == other


def _contains(text: str, words: str) -> bool:
    """Tell whether a text contains words, verbatim or as JSON, apart from white space."""
    spellings = (words, *(json.dumps(words, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)))
    squeezed = " ".join(text.split())
    return any(" ".join(spelling.split()) in squeezed for spelling in spellings)


def _rendered(
    tokenizer: PreTrainedTokenizerBase,
    turns: Mapping[str, str | None],
    content: Form,
    arguments: Mapping[str, Any],
) -> str:
    named = (("system", turns["system prompt"]), ("user", turns["query"]))
    messages: list[dict[str, Any]] = [
        {"role": role, "content": content(words)} for role, words in named if words is not None
    ]
    with _fixed_day():
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, date_string=FIXED_DATE, **arguments
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
