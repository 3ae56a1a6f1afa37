import pytest
from helpers.outside import TEMPLATE

from memlaw.core.errors import ConfigError
from memlaw.data.prompt import Prompt
from memlaw.data.turns import TextPair, Turn
from memlaw.models.random_weights import byte_tokenizer
from memlaw.verification.prompts import variants

PAIR = TextPair.of("Hi?", "Ho")


def ways(prompt: Prompt, template: str | None = TEMPLATE, pair: TextPair = PAIR) -> dict[str, str]:
    tokenizer = byte_tokenizer(512)
    tokenizer.chat_template = template
    made = {}
    for way in variants(tokenizer, prompt):
        try:
            ids = way.make(pair)
        except ConfigError:
            continue
        made[way.name] = tokenizer.decode([*ids.query_ids, 124, *ids.target_ids])
    return made


def test_chats_are_put_otherwise():
    bar = byte_tokenizer(512).decode([124])
    found = {name: text.replace(bar, "|") for name, text in ways(Prompt("auto")).items()}
    assert found["without the generation prompt"] == "[user]Hi?|Ho"
    assert found["with a space before the target"] == "[user]Hi?[answer]| Ho"
    assert found["without the chat template"] == "Hi?|Ho"
    assert found["without the chat template, with a line end between query and target"] == "Hi?\n|Ho"
    assert found["without the chat template, in Alpaca's form"].endswith("### Instruction:\nHi?\n\n### Response:\n|Ho")
    assert found["with the system turn 'You are a helpful assistant.'"].startswith("[system]You are")


def test_plain_text_is_put_into_the_template():
    assert "with the chat template" in ways(Prompt("off"))
    assert "with the chat template" not in ways(Prompt("off"), template=None)
    assert "with a space between query and target" in ways(Prompt("auto"), template=None)


def test_system_turns_are_left_out():
    assert "without the system turn" in ways(Prompt("auto", "Be brief."))
    with_system = TextPair((Turn("system", "Be brief."), *PAIR.turns), "Ho")
    assert "without the system turn of the data" in ways(Prompt("auto"), pair=with_system)
    assert "without the system turn of the data" not in ways(Prompt("auto"))


@pytest.mark.parametrize("thinking", ["true", "false"])
def test_thinking_is_switched_where_the_template_knows_it(thinking: str):
    name = f"with enable_thinking={thinking}"
    assert name in ways(Prompt("auto"), TEMPLATE + "{% if enable_thinking %}<think>{% endif %}")
    assert name not in ways(Prompt("auto"))
