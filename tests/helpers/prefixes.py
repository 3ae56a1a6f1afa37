"""The lowest adapted layer of small models, and rows of tokens for them."""

import torch

from helpers.models import spec
from memlaw.adapters.targets import resolve_targets
from memlaw.models.base import BaseModel

FIRST = 2
"""Index of the adapted layer, of four."""


def adapted_names(base: BaseModel, *overrides: str, first: int = FIRST) -> list[str]:
    """Names of the modules that an adapter at layer `first` adapts."""
    lora = spec(f"lora.layers=[{first}]", *overrides)
    return [target.name for target in resolve_targets(base.model, lora)]


def random_ids(rows: int, tokens: int) -> torch.Tensor:
    """Token ids [rows, tokens], always the same."""
    return torch.randint(0, 300, (rows, tokens), generator=torch.Generator().manual_seed(0))
