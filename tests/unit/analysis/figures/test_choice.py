"""Which figures a condition gets, and that each is drawn with its title, caption and axes."""

from dataclasses import replace
from pathlib import Path

import pytest
from helpers.studies import write_study
from memlaw_analysis.figures.choice import CAPTIONS, figures
from memlaw_analysis.figures.drawing import svg
from memlaw_analysis.findings import Findings
from memlaw_analysis.report.study_parts import condition_findings
from memlaw_analysis.tables.studies import load_studies

OF_TOKENS = {"exact", "transition", "failures", "recall", "positions", "probability", "curves"}


@pytest.fixture(scope="module")
def findings(tmp_path_factory) -> Findings:
    (findings,) = condition_findings(load_studies([write_study(tmp_path_factory.mktemp("study"))]), with_tokens=True)
    return findings


def test_a_full_condition_gets_every_figure_of_its_own(findings):
    drawn = figures(findings)
    assert set(drawn) == set(CAPTIONS) - {"models", "methods", "convergence"}
    for name, figure in drawn.items():
        assert figure.get_suptitle().startswith(findings.title), name
        assert figure.get_supxlabel().startswith(("n = ", "levels: ", "power: ")), name
        for axes in figure.axes:
            assert axes.get_xlabel() or axes.get_ylabel(), name


def test_what_was_not_found_is_not_drawn(findings):
    assert not set(figures(replace(findings, tokens=None))) & OF_TOKENS
    bare = replace(findings, law=None, saturating=None, collapse=None, capacity=None, tokens=None)
    assert set(figures(bare)) == {"law", "loss"}
    empty = replace(bare, usable=replace(findings.usable, cells=findings.cells.head(0)))
    assert set(figures(empty)) == {"loss"}


def test_ids_of_two_drawings_on_a_page_differ(findings, tmp_path: Path):
    figure = figures(findings)["loss"]
    one, two = svg(figure, "a-loss"), svg(figure, "b-loss")
    assert one.startswith("<svg")
    assert 'id="a-loss-' in one
    assert 'id="a-loss-' not in two
