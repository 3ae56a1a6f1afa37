"""What the page of published points computes from others' printed numbers."""

import math
import re

import pytest
from helpers.published import PROSE, prints, table

WIDTHS = {"Pythia-160M": 768, "Pythia-410M": 1024, "Pythia-1.4B": 2048, "Llama-3.2-1B": 2048, "Llama-3.1-8B": 4096}
"""Input hidden sizes, Table 2 of arXiv 2502.13063v3."""


def gains() -> dict[str, tuple[float, float]]:
    """Printed gains on random words and on PG-19, nats, by model."""
    rows = [[cell.split(" ")[0] for cell in row] for row in table("model (width)")]
    return {row[0]: (float(row[1]), float(row[3])) for row in rows}


def test_bits_per_number_of_one_vector():
    rows = table("model (width)")
    assert len(rows) == len(WIDTHS)
    values = []
    for row, (name, width) in zip(rows, WIDTHS.items(), strict=True):
        assert row[0] == f"{name} ({width})"
        bits = [gain / width / math.log(2) for gain in gains()[name]]
        assert prints(row[2], bits[0]) and prints(row[4], bits[1])
        values += bits
    assert (min(values), max(values)) == pytest.approx((0.56, 1.71), abs=0.006)
    assert "frozen model | 0.56 to 1.71 | computed" in PROSE


def test_random_words_gain_more_on_pythia():
    more = [random / text - 1 for name, (random, text) in gains().items() if name.startswith("Pythia")]
    assert (min(more), max(more)) == pytest.approx((0.26, 0.46), abs=0.006)


def found(pattern: str) -> list[float]:
    """The numbers that the groups of a pattern find in the page."""
    match = re.search(pattern, PROSE)
    assert match, pattern
    return [float(group) for group in match.groups()]


def test_the_gain_is_in_nats():
    loss, tokens, gain = found(r"([\d.]+) × (\d+) = ([\d.]+)\.")
    assert loss * tokens == pytest.approx(gain, abs=0.06)


@pytest.mark.parametrize("model", ["Pythia-160M", "Llama-3.2-1B"])
def test_the_horizon_of_vectors(model):
    vectors, one, many, exponent = found(rf"{model}, 1 → (\d+) vectors \| (\d+) → (\d+) tokens: exponent ([\d.]+\d)")
    assert math.log(many / one) / math.log(vectors) == pytest.approx(exponent, abs=0.006)


def test_the_strict_rule():
    width, gain, bits = found(r"SmolLM2-135M \(width (\d+)\).* gain (\d+) ± 66 bits, ([\d.]+) bits per number")
    assert gain / width == pytest.approx(bits, abs=0.006)
    gain, nats = found(r"Llama-3.2-1B (\d+) ± 282 bits, or (\d+) nats")
    assert gain * math.log(2) == pytest.approx(nats, abs=0.6)
