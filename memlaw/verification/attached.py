"""Puts what is judged on the base model, and takes it off again."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from peft import PeftModel, PeftType
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

from memlaw.core.errors import ConfigError, is_out_of_memory, one_line
from memlaw.core.wording import count
from memlaw.models.base import BaseModel
from memlaw.models.sources import LocalModel
from memlaw.verification.subject import Kind, Subject


@dataclass(frozen=True)
class Attached:
    """A model that computes what is judged.

    Attributes:
        model: the model, the adapter in its modules.
        parameters: number of the adapter's trainable parameters; 0 where there is none, or it was merged elsewhere.
        modules: dotted names of adapted modules.
    """

    model: PreTrainedModel
    parameters: int
    modules: tuple[str, ...]


@contextmanager
def attached(base: BaseModel, subject: Subject, merged: bool = False) -> Iterator[Attached]:
    """Put a subject on the base model inside the context.

    Args:
        base: the base model. After the context its weights may be others: PEFT leaves modules that an adapter brought
            whole, and weights that an initialisation changed.
        subject: what is judged.
        merged: whether to add the adapter to the weights, in their dtype; the base model keeps the sum.

    Raises:
        ConfigError: the checkpoint does not fit the base model.
    """
    if subject.kind is Kind.BASE:
        yield Attached(base.model, 0, ())
        return
    if subject.kind is Kind.MODEL:
        whole = LocalModel(subject.name, str(subject.path)).load(base.model.dtype, base.device)
        yield Attached(whole.model, 0, ())
        return
    model = _with_adapter(base, subject)
    parameters = sum(value.numel() for value in model.parameters() if value.requires_grad)
    modules = tuple(name for name, module in base.model.named_modules() if isinstance(module, BaseTunerLayer))
    model.requires_grad_(False)
    model.eval()
    if merged:
        yield Attached(model.merge_and_unload(), parameters, modules)
        return
    try:
        yield Attached(base.model, parameters, modules)
    finally:
        model.unload()


def _with_adapter(base: BaseModel, subject: Subject) -> PeftModel:
    """Load a PEFT checkpoint into the base model's modules.

    A tensor that is missing would stay as it was drawn, and one that fits nowhere would be left out, both silently.
    """
    where = f"{subject.where} does not fit the base model"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they tell is checked below
            model = PeftModel.from_pretrained(base.model, str(subject.path), is_trainable=True)
            loaded = model.load_adapter(str(subject.path), "default", is_trainable=True)
    except Exception as error:  # sizes and modules that differ raise errors of many classes
        if is_out_of_memory(error):
            raise
        raise ConfigError(f"{where}: {_cause(error)}") from error
    assert subject.config is not None
    shared = subject.config.peft_type in (PeftType.VERA, PeftType.VBLORA)  # these draw or share some tensors
    if loaded.missing_keys and not shared:
        raise ConfigError(f"{where}: the checkpoint lacks {_first(loaded.missing_keys)}")
    if loaded.unexpected_keys:
        raise ConfigError(f"{where}: it has no place for {_first(loaded.unexpected_keys)}")
    return model


def _first(names: list[str]) -> str:
    return f"{names[0]} and {count(len(names) - 1, 'more tensor')}" if len(names) > 1 else names[0]


def _cause(error: Exception) -> str:
    """The first mismatch of a long list."""
    text = one_line(error)
    start = text.find("size mismatch")
    return text if start < 0 else text[start:].split(" size mismatch", 1)[0].rstrip(".;, ")
