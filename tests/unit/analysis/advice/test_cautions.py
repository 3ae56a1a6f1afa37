import pytest
from memlaw_analysis.advice import cautions as module
from memlaw_analysis.advice.advice import Question
from memlaw_analysis.advice.cautions import cautions, measured_errors

MEASURED = {
    "bits": {"mean": 0.0167, "worst": 0.04, "cells": 4, "source": "BITS"},
    "places": {"ratio": 4.72, "source": "PLACES"},
    "pairs": {"ratio": [0.8, 0.7, 0.9], "tables": "10 and 30", "source": "PAIRS"},
}


@pytest.fixture
def measured(monkeypatch):
    values = {**MEASURED}
    monkeypatch.setattr(module, "measured_errors", lambda: values)
    return values


def test_a_question_about_the_studys_own_text_and_adapter_carries_nothing_over(measured):
    assert [*cautions(Question(tokens=300))] == []


def test_each_way_beyond_the_study_has_its_measured_error(measured):
    bits, pairs, places = cautions(Question(bits=300, pairs=20, parameters_per_rank=960))
    assert "4 cells" in bits and "1.7%" in bits and "4.0% at most (BITS)" in bits
    assert "10 and 30 pairs" in pairs and "0.80 (0.70 to 0.90) times" in pairs and "(PAIRS)" in pairs
    assert "up to 4.7 times" in places and "(PLACES)" in places


def test_what_was_not_measured_is_said(measured):
    measured["pairs"] = None
    assert "whether 20 pairs of equal bits need the same was not measured" in [*cautions(Question(bits=9, pairs=20))][1]


def test_the_package_has_the_measured_errors():
    assert set(measured_errors()) == set(MEASURED)
