"""A query's text as the token ids that the model sees before the target."""

from transformers import PreTrainedTokenizerBase

from memlaw.errors import ConfigError

FIXED_DATE = "26 Jul 2024"
"""Some chat templates print today's date; a fixed one keeps token ids the same on every day."""


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
    if chat_template not in ("auto", "off"):
        raise ConfigError(f"data.chat_template={chat_template} is not one of auto, off")
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
