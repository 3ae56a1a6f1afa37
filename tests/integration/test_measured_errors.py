"""The errors that advice quotes come out again from the kept cells and records, and so do the tables of their page."""

import runpy

import pytest
from helpers.checkout import ROOT


@pytest.fixture(scope="module")
def measure() -> dict:
    return runpy.run_path(str(ROOT / "docs/measure_errors.py"))


def test_the_errors_that_advice_quotes_are_those_of_the_kept_cells(measure: dict):
    assert measure["DATA"].read_text(encoding="utf-8") == measure["written"](), "run `make docs`"


def test_the_page_of_bits_has_the_tables_of_the_kept_cells(measure: dict):
    page = measure["PAGE"].read_text(encoding="utf-8")
    assert measure["filled"](page) == page, "run `make docs`"


def test_bits_carry_the_law_over_best(measure: dict):
    _, errors, _ = measure["studied"]()
    assert errors["mean"].idxmin() == "bits"


def test_the_largest_ratio_of_places_is_that_of_one_length(measure: dict):
    rows = [("a", 64, 0.2), ("b", 64, 0.8), ("a", 128, 0.1), ("b", 128, 0.3)]
    table = [{"layer": layer, "ℓ": length, "bits per parameter": bits} for layer, length, bits in rows]
    assert measure["largest_ratio"]({"tables": {"depth": table, "spread": []}}) == pytest.approx(4)
