"""Other ways to put a query to the model: adapters are often trained in one way and asked in another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from transformers import PreTrainedTokenizerBase

from memlaw.core.errors import ConfigError
from memlaw.data.chat_template import SYSTEM, conversation
from memlaw.data.memory import Pair
from memlaw.data.prompt import Prompt, text_ids
from memlaw.data.turns import TextPair, Turn

FORMS = {
    "with a space between query and target": "{query} ",
    "with a line end between query and target": "{query}\n",
    "with an empty line between query and target": "{query}\n\n",
    "as question and answer": "Question: {query}\nAnswer: ",
    "in Alpaca's form": (
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{query}\n\n### Response:\n"
    ),
    "in ChatML": "<|im_start|>user\n{query}<|im_end|>\n<|im_start|>assistant\n",
    "in Llama 2's form": "[INST] {query} [/INST] ",
    "in Vicuna's form": "USER: {query} ASSISTANT: ",
}
"""Forms that trainers put queries in, without the tokenizer's chat template: name → text before the target."""

Make = Callable[[TextPair], Pair]


@dataclass(frozen=True)
class Variant:
    """A way to put a query to the model.

    Attributes:
        name: how, in words that continue "recalled …".
        make: makes the token ids of a pair; raises ConfigError where the pair cannot be put so.
    """

    name: str
    make: Make


def variants(tokenizer: PreTrainedTokenizerBase, asked: Prompt) -> Iterator[Variant]:
    """Yield other ways than the one that was asked in."""
    templated = bool(tokenizer.chat_template)
    if templated and asked.chat_template == "off":
        yield Variant("with the chat template", _prompted(tokenizer, Prompt("auto")))
    if templated and asked.chat_template == "auto":
        yield from _in_chat(tokenizer, asked)
        yield Variant("without the chat template", _prompted(tokenizer, Prompt("off")))
    plain = "without the chat template, " if templated else ""
    for name, form in FORMS.items():
        yield Variant(f"{plain}{name}", _plain(tokenizer, form))
    if tokenizer.bos_token_id is not None:
        yield Variant("with the beginning-of-sequence token added or left out", _other_bos(tokenizer, asked))


def _in_chat(tokenizer: PreTrainedTokenizerBase, asked: Prompt) -> Iterator[Variant]:
    """Ways that keep the chat template."""
    if asked.system_prompt is None:
        yield Variant(f"with the system turn {SYSTEM!r}", _prompted(tokenizer, replace(asked, system_prompt=SYSTEM)))
    else:
        yield Variant("without the system turn", _prompted(tokenizer, replace(asked, system_prompt=None)))
    yield Variant("without the system turn of the data", _without_system(tokenizer, asked))
    if "enable_thinking" in str(tokenizer.chat_template):
        for thinking in (False, True):
            arguments = {**(asked.template_arguments or {}), "enable_thinking": thinking}
            if arguments != asked.template_arguments:
                prompt = replace(asked, template_arguments=arguments)
                yield Variant(f"with enable_thinking={str(thinking).lower()}", _prompted(tokenizer, prompt))
    yield Variant("without the generation prompt", _unopened(tokenizer, asked))
    yield Variant("without white space around the target", _stripped(tokenizer, asked))
    for words, before in (("a space", " "), ("a line end", "\n")):
        yield Variant(f"with {words} before the target", _prompted(tokenizer, asked, before))


def _prompted(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, before: str = "") -> Make:
    def make(pair: TextPair) -> Pair:
        query = prompt.turns_ids(tokenizer, pair.turns, "query")
        return Pair(query, tuple(text_ids(tokenizer, before + pair.target)))

    return make


def _plain(tokenizer: PreTrainedTokenizerBase, form: str) -> Make:
    """The text of a single turn in a form, and the target after it; both tokenized as one text."""

    def make(pair: TextPair) -> Pair:
        if len(pair.turns) > 1:
            raise ConfigError("a conversation needs a chat template")
        query = form.replace("{query}", pair.query)
        query_ids, whole_ids = tokenizer(query)["input_ids"], tokenizer(query + pair.target)["input_ids"]
        kept = next((i for i, (a, b) in enumerate(zip(query_ids, whole_ids, strict=False)) if a != b), len(query_ids))
        if not kept:
            raise ConfigError("query and target share their first token")
        return Pair(tuple(whole_ids[:kept]), tuple(whole_ids[kept:]))

    return make


def _stripped(tokenizer: PreTrainedTokenizerBase, asked: Prompt) -> Make:
    def make(pair: TextPair) -> Pair:
        if pair.target == pair.target.strip():
            raise ConfigError("there is no white space around the target")
        return _prompted(tokenizer, asked)(TextPair(pair.turns, pair.target.strip()))

    return make


def _unopened(tokenizer: PreTrainedTokenizerBase, asked: Prompt) -> Make:
    def make(pair: TextPair) -> Pair:
        system = (Turn("system", asked.system_prompt),) if asked.system_prompt else ()
        text = conversation(tokenizer, (*system, *pair.turns), asked.template_arguments or {}, opened=False)
        query_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return Pair(tuple(query_ids), tuple(text_ids(tokenizer, pair.target)))

    return make


def _without_system(tokenizer: PreTrainedTokenizerBase, asked: Prompt) -> Make:
    def make(pair: TextPair) -> Pair:
        turns: tuple[Turn, ...] = tuple(turn for turn in pair.turns if turn.role != "system")
        if len(turns) == len(pair.turns):
            raise ConfigError("the data has no system turn")
        return _prompted(tokenizer, asked)(TextPair(turns, pair.target))

    return make


def _other_bos(tokenizer: PreTrainedTokenizerBase, asked: Prompt) -> Make:
    def make(pair: TextPair) -> Pair:
        ids, bos = asked.turns_ids(tokenizer, pair.turns, "query"), tokenizer.bos_token_id
        other = ids[1:] if ids[0] == bos else (bos, *ids)
        if not other:
            raise ConfigError("the query is that token alone")
        return Pair(other, tuple(text_ids(tokenizer, pair.target)))

    return make
