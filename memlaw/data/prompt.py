"""A query's text as the token ids that the model sees before the target."""

from typing import Any

from transformers import PreTrainedTokenizerBase

from memlaw.errors import ConfigError

CHAT_TEMPLATES = ("auto", "off")

FIXED_DATE = "26 Jul 2024"
"""Some chat templates print today's date; a fixed one keeps token ids the same on every day."""


def check_query(query: Any, chat_template: Any) -> None:
    """Refuse impossible values of `data.query` and `data.chat_template`.

    Raises:
        ConfigError: naming the key and what is allowed.
    """
    if not isinstance(query, str):
        raise ConfigError(f"data.query={query} is no text")
    if chat_template not in CHAT_TEMPLATES:
        raise ConfigError(f"data.chat_template={chat_template} is not one of {', '.join(CHAT_TEMPLATES)}")


def query_ids(tokenizer: PreTrainedTokenizerBase, query: str, chat_template: str) -> tuple[int, ...]:
    """Tokenize a query; never empty, since the first target token needs a token before it.

    Args:
        tokenizer: the base model's.
        query: what the user asks.
        chat_template: `auto` wraps the query as a user turn and opens the assistant's where the tokenizer
            has a chat template; `off` never does.

    Raises:
        ConfigError: `chat_template` is neither of the two, or the query has no tokens.
    """
    check_query(query, chat_template)
    if chat_template == "auto" and tokenizer.chat_template:
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": query}],
            tokenize=False,
            add_generation_prompt=True,
            date_string=FIXED_DATE,
        )
        ids = tokenizer(str(text), add_special_tokens=False)["input_ids"]
    else:
        ids = tokenizer(query)["input_ids"]
    if not ids:
        raise ConfigError("data.query has no tokens; give the query some text")
    return tuple(ids)


def text_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Tokenize plain text without any special token."""
    return list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
