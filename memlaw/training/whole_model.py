"""Restores the base model in the middle of training, to ask finished cells."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from transformers import PreTrainedModel

from memlaw.adapters.stack import LoraPack
from memlaw.training.prefix import Prefix


@dataclass(frozen=True)
class WholeModel:
    """The base model of a training pack, and a context that restores it.

    Attributes:
        model: the base model, the pack's adapters attached.
        adapters: the pack's adapters.
        prefix: replaces the model's first layers while the pack trains; None: nothing does.
    """

    model: PreTrainedModel
    adapters: LoraPack
    prefix: Prefix | None

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Run all layers and no adapter of the pack inside the context."""
        with self.prefix.restored() if self.prefix else nullcontext(), self.adapters.paused():
            yield
