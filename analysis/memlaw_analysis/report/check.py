"""Compare a report's numbers with those of a written one: which of them moved."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memlaw.core.json_file import read_object
from memlaw_analysis.report.part import RECORD_FILES, Part

TOLERANCE = 1e-6
"""Relative difference that counts as none: another machine finds the same optimum to this accuracy."""


def moved_numbers(parts: Sequence[Part], target: Path) -> tuple[list[str], list[str]]:
    """Compare parts with a written report.

    Returns:
        A line for each number that moved, and a line for each package whose version differs.
    """
    moved: list[str] = []
    versions: list[str] = []
    for part in parts:
        file = target / part.directory / part.record_file
        name = file.relative_to(target)
        try:
            before = read_object(file)
        except FileNotFoundError:
            moved.append(f"{name} is missing")
            continue
        except (ValueError, RecursionError) as error:
            moved.append(f"{name} is damaged: {error}")
            continue
        now = json.loads(json.dumps(part.record))
        versions += differences(before.pop("versions", {}), now.pop("versions", {}), "versions")
        moved += [f"{name}: {line}" for line in differences(before, now)]
    current = {Path(part.directory, part.record_file) for part in parts}
    written = {path.relative_to(target) for file in set(RECORD_FILES.values()) for path in target.glob(f"*/{file}")}
    moved += [f"{name} is of a condition that the cells no longer have" for name in sorted(written - current)]
    return moved, versions


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """Yield what differs between two records, a line each, with its dotted name."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from differences(before.get(key), now.get(key), f"{name}.{key}" if name else str(key))
    elif _is_list(before) and _is_list(now) and len(before) == len(now):
        for index, (old, new) in enumerate(zip(before, now, strict=True)):
            yield from differences(old, new, f"{name}[{index}]")
    elif _is_number(before) and _is_number(now):
        if not math.isclose(before, now, rel_tol=TOLERANCE, abs_tol=1e-9):
            yield f"{name}: {before!r} in the report, {now!r} now"
    elif before != now:
        yield f"{name}: {before!r} in the report, {now!r} now"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
