"""Records as strict JSON, which has neither NaN nor infinities."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def strict(value: Any) -> Any:
    """Replace each number that is not finite by None, at any depth, and numpy's numbers by Python's."""
    if isinstance(value, Mapping):
        return {str(name): strict(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strict(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
