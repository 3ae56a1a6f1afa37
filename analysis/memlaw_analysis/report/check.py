"""Refit and compare with what a report wrote: whether any number moved."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

TOLERANCE = 1e-6
"""Relative difference that counts as none: the same optimum on another machine."""


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What differs between two records, a line each, with its dotted name."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from differences(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
    elif _is_list(before) and _is_list(now) and len(before) == len(now):
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences(one, other, f"{name}[{index}]")
    elif _is_number(before) and _is_number(now):
        if not math.isclose(before, now, rel_tol=TOLERANCE, abs_tol=1e-9):
            yield f"{name}: {before!r} in the report, {now!r} now"
    elif before != now:
        yield f"{name}: {before!r} in the report, {now!r} now"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
