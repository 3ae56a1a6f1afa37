"""What advice must say about itself: how far the law was seen to miss where it is carried over to something else.

The numbers are kept in `data/measured_errors.json`, which `docs/measure_errors.py` writes from the kept rows.
"""

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from memlaw_analysis.advice.advice import Question


@cache
def measured_errors() -> dict[str, Any]:
    """Read the measured errors: `bits`, `places` and `pairs`, each with its `source`; None where not measured."""
    text = (files("memlaw_analysis") / "data" / "measured_errors.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def cautions(question: Question) -> Iterator[str]:
    """Yield a sentence for each way in which a question goes beyond the study's text and adapter."""
    if question.bits is not None:
        yield _bits(measured_errors()["bits"])
    if question.pairs > 1:
        yield _pairs(measured_errors()["pairs"], question.pairs)
    if question.parameters_per_rank is not None:
        yield _places(measured_errors()["places"])


def _bits(error: dict[str, Any]) -> str:
    return (
        f"the law of another text is read by bits. On {error['cells']} cells of SmolLM2-135M that it had not seen this "
        f"missed the stored share by {error['mean']:.1%} of the text on average, by {error['worst']:.1%} at most "
        f"({error['source']})"
    )


def _pairs(found: dict[str, Any] | None, pairs: int) -> str:
    if found is None:
        return f"the law is that of one text; whether {pairs} pairs of equal bits need the same was not measured"
    value, low, high = found["ratio"]
    return (
        f"the law is that of one text. Of {found['tables']} pairs SmolLM2-135M stored {value:.2f} ({low:.2f} to "
        f"{high:.2f}) times the share of one text of equal bits ({found['source']})"
    )


def _places(found: dict[str, Any]) -> str:
    return (
        f"the adapter counts by its parameters alone. At equal parameters, the best place of SmolLM2-135M stored up to "
        f"{found['ratio']:.1f} times the bits of the worst ({found['source']})"
    )
