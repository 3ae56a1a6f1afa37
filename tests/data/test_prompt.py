import pytest

from memlaw.data.prompt import query_ids
from memlaw.errors import ConfigError
from memlaw.random_model import byte_tokenizer

TEMPLATE = "{% for m in messages %}[{{ m.role }}|{{ date_string }}]{{ m.content }}{% endfor %}[assistant]"


def test_a_template_wraps_the_query_with_a_fixed_date():
    tokenizer = byte_tokenizer(512)
    tokenizer.chat_template = TEMPLATE
    assert tokenizer.decode(query_ids(tokenizer, "Hi?", "auto")) == "[user|26 Jul 2024]Hi?[assistant]"
    assert tokenizer.decode(query_ids(tokenizer, "Hi?", "off")) == "Hi?"


def test_without_a_template_the_query_stands_alone():
    tokenizer = byte_tokenizer(512)
    assert tokenizer.decode(query_ids(tokenizer, "Hi?", "auto")) == "Hi?"


@pytest.mark.parametrize(("query", "mode", "key"), [("", "off", "data.query"), ("Hi", "on", "data.chat_template")])
def test_unusable_queries_are_refused(query: str, mode: str, key: str):
    with pytest.raises(ConfigError, match=key):
        query_ids(byte_tokenizer(512), query, mode)
