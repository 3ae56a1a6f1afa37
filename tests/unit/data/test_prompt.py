from contextlib import suppress
from datetime import datetime

import pytest
from helpers.checkout import ROOT
from tokenizers.processors import TemplateProcessing

from memlaw.core.errors import ConfigError
from memlaw.data.chat_template import FIXED_DATE, SYSTEM
from memlaw.data.prompt import Prompt, check_query
from memlaw.models.random_weights import byte_tokenizer

TEMPLATE = "{% for m in messages %}[{{ m.role }}|{{ date_string }}]{{ m.content }}{% endfor %}[assistant]"


def test_a_template_wraps_the_query_with_a_fixed_date():
    tokenizer = byte_tokenizer(512)
    tokenizer.chat_template = TEMPLATE
    assert tokenizer.decode(Prompt("auto").query_ids(tokenizer, "Hi?")) == "[user|26 Jul 2024]Hi?[assistant]"
    assert tokenizer.decode(Prompt("off").query_ids(tokenizer, "Hi?")) == "Hi?"


def test_without_a_template_the_query_stands_alone():
    tokenizer = byte_tokenizer(512)
    assert tokenizer.decode(Prompt("auto").query_ids(tokenizer, "Hi?")) == "Hi?"


@pytest.mark.parametrize(("query", "mode", "key"), [("", "off", "data.query"), ("Hi", "on", "data.chat_template")])
def test_unusable_queries_are_refused(query: str, mode: str, key: str):
    with pytest.raises(ConfigError, match=key):
        Prompt(mode).query_ids(byte_tokenizer(512), query)


USER = "<|user|>{{ m.content }}<|end|>"
PARTS = "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}"
STRICT = (
    "{% if messages[0].role != 'system' %}{{ raise_exception('the first turn must be a system turn') }}{% endif %}"
    "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)
ALTERNATING = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
)


def prompt(template: str, query: str) -> str:
    tokenizer = byte_tokenizer(512)
    tokenizer.chat_template = template
    return tokenizer.decode(Prompt("auto").query_ids(tokenizer, query))


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{% for m in messages %}" + USER + "{% endfor %}", "<|user|>Hi?<|end|>"),
        ("{% for m in messages %}[{{ m.role }}]" + PARTS + "{% endfor %}", "[user]Hi?"),
        ("{% for m in messages %}{{ m.content[0].text.strip() }}{% endfor %}", "Hi?"),
        ("{% for m in messages %}{{ m.content | trim }}.{% endfor %}", "Hi?."),
        (STRICT, "[system]You are a helpful assistant.[user]Hi?"),
        (STRICT.replace("{{ m.content }}", PARTS), "[system]You are a helpful assistant.[user]Hi?"),
        (ALTERNATING, "[user]Hi?"),
    ],
)
def test_a_template_is_given_the_query_in_the_form_that_it_takes(template: str, shown: str):
    assert prompt(template, "Hi?") == shown
    assert prompt(template, "Ho?") == shown.replace("Hi?", "Ho?")


@pytest.mark.parametrize("template", ["[user][assistant]", "{% for m in messages %}[{{ m.role }}]{% endfor %}"])
@pytest.mark.parametrize("query", ["Hi?", "user"])
def test_a_template_that_leaves_the_query_out_is_refused(template: str, query: str):
    with pytest.raises(
        ConfigError, match=r"^data\.chat_template=auto: .* leaves the query out; data\.chat_template=off"
    ):
        prompt(template, query)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('Only tools are taken.') }}", "Only tools are taken"),
        ("{% for m in messages %}", "Unexpected end of template"),
        ("{{ nothing.at_all }}", "'nothing' is undefined"),
        ("{{ messages | no_filter }}", "No filter named 'no_filter'"),
    ],
)
def test_a_template_that_fails_is_one_line_that_names_the_key(template: str, said: str):
    with pytest.raises(ConfigError, match=rf"^data\.chat_template=auto: .*{said}.*; data\.chat_template=off") as caught:
        prompt(template, "Hi?")
    assert "\n" not in str(caught.value)


def test_several_templates_without_a_default_name_the_key():
    with pytest.raises(ConfigError, match=r"^data\.chat_template=auto"):
        prompt({"rag": USER, "tool_use": USER}, "Hi?")


@pytest.mark.parametrize("format", ["%d %b %Y", "%Y-%m-%d", "%H:%M"])
def test_templates_that_read_the_clock_write_the_fixed_date(format: str):
    template = "[{{ strftime_now('" + format + "') }}]{{ messages[0].content }}"
    assert prompt(template, "Hi?") == f"[{datetime(2024, 7, 26).strftime(format)}]Hi?"


def test_the_fixed_date_and_turn_are_told():
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8").replace("\n", " ")
    assert FIXED_DATE in page and SYSTEM in page


def test_the_clock_goes_on_afterwards_and_after_an_error():
    for template in ("{{ messages[0].content }}", "{{ raise_exception('no') }}"):
        with suppress(ConfigError):
            prompt(template, "Hi?")
    tokenizer = byte_tokenizer(512)
    tokenizer.chat_template = "{{ strftime_now('%Y') }}"
    shown = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
    assert shown == str(datetime.now().year)


def test_a_template_that_writes_the_first_token_gets_no_second_one():
    tokenizer = byte_tokenizer(512)
    tokenizer.bos_token = tokenizer.eos_token
    first = [(tokenizer.bos_token, tokenizer.bos_token_id)]
    tokenizer._tokenizer.post_processor = TemplateProcessing(single=f"{tokenizer.bos_token} $A", special_tokens=first)
    alone = Prompt("off").query_ids(tokenizer, "Hi")
    assert alone[0] == tokenizer.bos_token_id
    tokenizer.chat_template = "{{ bos_token }}{{ messages[0].content }}"
    assert Prompt("auto").query_ids(tokenizer, "Hi") == alone


def test_a_query_of_half_characters_is_refused():
    with pytest.raises(ConfigError, match=r"^data\.query: '\\udcff' at 2 is half a character"):
        check_query("Hi\udcff")


@pytest.mark.parametrize(
    "content", ["{{ m.content | tojson }}", "{{ m.content.replace('\n', '  ') }}", "{{ m.content | trim | indent(2) }}"]
)
def test_a_query_that_a_template_writes_in_its_own_way_is_there(content: str):
    shown = prompt("{% for m in messages %}<u>" + content + "</u>{% endfor %}", 'Say "hi"\nnow')
    assert "hi" in shown
    assert "now" in shown


ROLES = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
THINKING = ROLES + "{% if enable_thinking is defined and enable_thinking is false %}<think></think>{% endif %}"


def put(template: str | None, **settings) -> str:
    tokenizer = byte_tokenizer(512)
    tokenizer.chat_template = template
    return tokenizer.decode(Prompt("auto", **settings).query_ids(tokenizer, "Hi?"))


@pytest.mark.parametrize("template", [ROLES, ROLES.replace("{{ m.content }}", PARTS)])
def test_a_system_prompt_is_a_turn_before_the_query(template: str):
    assert put(template, system_prompt="Be brief.") == "[system]Be brief.[user]Hi?"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (ALTERNATING, "roles must alternate"),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "it leaves the system prompt out"),
        ("Be brief.{{ messages[-1].content }}", "it leaves the system prompt out"),
    ],
)
def test_a_template_that_drops_the_system_prompt_is_refused(template: str, said: str):
    with pytest.raises(
        ConfigError, match=rf"^data\.system_prompt: .*{said}.*; data\.system_prompt=null leaves it out$"
    ):
        put(template, system_prompt="Be brief.")


def test_arguments_reach_the_template():
    assert put(THINKING) == "[user]Hi?"
    assert put(THINKING, template_arguments={"enable_thinking": False}) == "[user]Hi?<think></think>"
    assert put(THINKING, template_arguments={"enable_thinking": True}) == "[user]Hi?"


def test_an_argument_that_the_template_lacks_is_refused():
    with pytest.raises(ConfigError, match=r"^data\.template_arguments: .* has no argument enable_thinking; "):
        put(ROLES, template_arguments={"enable_thinking": False})


@pytest.mark.parametrize("settings", [{"system_prompt": "Be brief."}, {"template_arguments": {"thinking": False}}])
def test_turns_and_arguments_without_a_template_are_refused(settings: dict):
    (key,) = settings
    with pytest.raises(
        ConfigError, match=rf"^data\.{key} needs a chat template, and the tokenizer has no chat template"
    ):
        put(None, **settings)
    with pytest.raises(ConfigError, match=rf"^data\.{key} needs a chat template, and data\.chat_template=off; "):
        Prompt("off", **settings)


def test_no_arguments_are_spelled_null_alone():
    with pytest.raises(ConfigError, match=r"^data\.template_arguments=\{\} is neither null nor "):
        Prompt("auto", template_arguments={})
