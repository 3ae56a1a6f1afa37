"""Turns a query into the token ids that the model reads before the target."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from memlaw.config.values import check_characters, check_choice
from memlaw.core.errors import ConfigError, spelled
from memlaw.data.chat_template import conversation
from memlaw.data.turns import Turn

CHAT_TEMPLATES = ("auto", "off")

_TAKEN = frozenset(inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters) | {
    "messages",
    "date_string",
}
"""Names that are taken when a template is rendered: those of transformers, and the fixed date."""


@dataclass(frozen=True)
class Prompt:
    """How a query is put to the model.

    Attributes:
        chat_template: `auto` wraps the query as a user turn and opens the assistant's turn, if the tokenizer has a chat
            template; `off` never does.
        system_prompt: text of a system turn before the query; None: no such turn.
        template_arguments: arguments of the chat template by name, such as `enable_thinking`; None: none.
    """

    chat_template: str
    system_prompt: str | None = None
    template_arguments: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_choice("data.chat_template", self.chat_template, CHAT_TEMPLATES)
        if self.system_prompt is not None:
            if not isinstance(self.system_prompt, str) or not self.system_prompt.strip():
                raise ConfigError(f"data.system_prompt={spelled(self.system_prompt)} is neither a text nor null")
            check_characters("data.system_prompt", self.system_prompt)
        if self.template_arguments is not None:
            _check_arguments(self.template_arguments)
        if self.chat_template == "off":
            self._refuse_turns("data.chat_template=off")

    def query_ids(self, tokenizer: PreTrainedTokenizerBase, query: str, where: str = "data.query") -> tuple[int, ...]:
        """Tokenize a query that is a single turn of the user; see `turns_ids`."""
        return self.turns_ids(tokenizer, (Turn("user", query),), where)

    def turns_ids(self, tokenizer: PreTrainedTokenizerBase, turns: Sequence[Turn], where: str) -> tuple[int, ...]:
        """Tokenize turns. The result is never empty, since the first target token needs a token before it.

        Args:
            tokenizer: the base model's.
            turns: up to the user's last.
            where: name of the query in errors.

        Raises:
            ConfigError: the chat template cannot be used or is lacking, there are two system turns, or no tokens.
        """
        if self.chat_template == "auto" and tokenizer.chat_template:
            text = conversation(tokenizer, self._with_system(turns, where), self.template_arguments or {})
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]  # the template adds them
        else:
            missing = "data.chat_template=off" if self.chat_template == "off" else "the tokenizer has no chat template"
            self._refuse_turns(missing)
            ids = tokenizer(_single(turns, where, missing))["input_ids"]
        if not ids:
            raise ConfigError(f"{where} has no tokens; give the query some text")
        return tuple(ids)

    def _with_system(self, turns: Sequence[Turn], where: str) -> Sequence[Turn]:
        if self.system_prompt is None:
            return turns
        if any(turn.role == "system" for turn in turns):
            raise ConfigError(f"{where} has a system turn of its own; data.system_prompt=null keeps it")
        return (Turn("system", self.system_prompt), *turns)

    def _refuse_turns(self, cause: str) -> None:
        """Raise ConfigError where a setting needs a chat template, and there is none for the given cause."""
        for key in ("system_prompt", "template_arguments"):
            if getattr(self, key):
                raise ConfigError(f"data.{key} needs a chat template, and {cause}; data.{key}=null leaves it out")


def _single(turns: Sequence[Turn], where: str, missing: str) -> str:
    """The content of the only turn, where there is no chat template for several, for the given cause."""
    if len(turns) > 1 or turns[0].role != "user":
        raise ConfigError(f"{where} is a conversation of {len(turns)} turns, which needs a chat template; {missing}")
    return turns[0].content


def check_query(query: Any) -> None:
    """Refuse a `data.query` that is not text. Raises ConfigError naming the key."""
    if not isinstance(query, str):
        raise ConfigError(f"data.query={spelled(query)} is not a text")
    check_characters("data.query", query)


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenize plain text without any special token."""
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def _check_arguments(arguments: Any) -> None:
    """Raise ConfigError unless `arguments` are values by names that a chat template can have."""
    if not isinstance(arguments, Mapping) or not arguments:  # an empty mapping would be another cell than null
        raise ConfigError(f"data.template_arguments={spelled(arguments)} is neither null nor {{NAME: VALUE}}")
    for name in arguments:
        if not isinstance(name, str) or not name.isidentifier() or name in _TAKEN:
            raise ConfigError(f"data.template_arguments: {spelled(name)} is not the name of an argument of a template")
