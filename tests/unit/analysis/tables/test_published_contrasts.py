"""What the page of published points computes from others' printed numbers."""

import math

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


def test_the_gain_is_in_nats():
    assert pytest.approx(411.2, abs=0.06) == 3.2127 * 128


def test_the_horizon_of_vectors():
    assert math.log(2016 / 80) / math.log(32) == pytest.approx(0.93, abs=0.006)
    assert math.log(7168 / 512) / math.log(16) == pytest.approx(0.95, abs=0.006)
    assert pytest.approx(0.29, abs=0.006) == 168 / 576
