"""Writes turns as a conversation, with the tokenizer's chat template."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import product
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils import chat_template_utils

from memlaw.core.errors import ConfigError, one_line
from memlaw.data.turns import NAMES, Turn

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
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], arguments: Mapping[str, Any], opened: bool = True
) -> str:
    """Write the turns up to the opening of the assistant's, in the first form that the template takes.

    Contents are offered as strings, then as lists of parts. Turns without a system turn stay so, unless the template
    demands one.

    Args:
        tokenizer: it has a chat template.
        turns: up to the user's last.
        arguments: arguments of the template beside the turns.
        opened: whether to open the assistant's turn.

    Raises:
        ConfigError: the template lacks an argument, fails in every form, or leaves a turn out.
    """
    _check_arguments(tokenizer, arguments)
    causes = []
    has_system = any(turn.role == "system" for turn in turns)
    offers = (tuple(turns),) if has_system else (tuple(turns), (Turn("system", SYSTEM), *turns))
    forms: tuple[Form, ...] = (str, _parts)
    for offer, content in product(offers, forms):

        def render(offer: Sequence[Turn], content: Form = content) -> str:
            return _rendered(tokenizer, offer, content, {"add_generation_prompt": opened, **arguments})

        try:
            text = render(offer)
            lost = [turn.name for index, turn in enumerate(offer) if _is_lost(index, offer, text, render)]
        except Exception as error:  # templates are programs and may raise anything
            causes.append(one_line(error))
            continue
        if not lost:
            return text
        causes.append(f"it leaves the {lost[-1]} out")
    key = "data.system_prompt" if has_system else "data.chat_template=auto"
    remedy = "data.system_prompt=null" if has_system else "data.chat_template=off"
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


def _is_lost(index: int, turns: Sequence[Turn], text: str, render: Callable[[Sequence[Turn]], str]) -> bool:
    """Tell whether `text` lacks a turn: it does not contain the turn, or does not change with it.

    Turns of the assistant do not count: templates shorten them, for instance by earlier thoughts.
    """
    turn = turns[index]
    if turn.role not in NAMES or not turn.content.strip():
        return False
    changed = Turn(turn.role, f"{turn.content} {turn.content}")
    return not _contains(text, turn.content) or text == render([*turns[:index], changed, *turns[index + 1 :]])


def _contains(text: str, words: str) -> bool:
    """Tell whether a text contains words, verbatim or as JSON, apart from white space."""
    spellings = (words, *(json.dumps(words, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)))
    squeezed = " ".join(text.split())
    return any(" ".join(spelling.split()) in squeezed for spelling in spellings)


def _rendered(
    tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], content: Form, arguments: Mapping[str, Any]
) -> str:
    messages: list[dict[str, Any]] = [{"role": turn.role, "content": content(turn.content)} for turn in turns]
    with _fixed_day():
        text = tokenizer.apply_chat_template(messages, tokenize=False, date_string=FIXED_DATE, **arguments)
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
