"""The base model made whole in the middle of training, for what finished cells are asked."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from transformers import PreTrainedModel

from memlaw.adapters.stack import LoraPack
from memlaw.training.prefix import Prefix


@dataclass(frozen=True)
class WholeModel:
    """A base model that a pack trains on, and the way to have it back for a while.

    Attributes:
        model: the base model, the pack's adapters attached.
        adapters: the pack's adapters.
        prefix: stands in for the model's first layers while the pack trains; None: nothing does.
    """

    model: PreTrainedModel
    adapters: LoraPack
    prefix: Prefix | None

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Within it all layers run and no adapter of the pack acts."""
        with self.prefix.restored() if self.prefix else nullcontext(), self.adapters.paused():
            yield
