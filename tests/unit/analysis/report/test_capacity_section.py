"""Bits per trainable and per effective parameter, in words, table, figure and record."""

import json

import numpy as np
import pytest
from helpers.studies import write_cell
from memlaw_analysis.figures.choice import figures
from memlaw_analysis.findings import Findings
from memlaw_analysis.report.capacity_section import EFFECTIVE, capacity_section
from memlaw_analysis.report.record import law_record
from memlaw_analysis.report.study_parts import condition_findings
from memlaw_analysis.tables.studies import load_studies


def found(root, effective: dict[int, float]) -> Findings:
    """Findings of cells of ranks 1, 2 and 4, of which some know their effective parameters."""
    for rank in (1, 2, 4):
        for length in (128, 512, 2048):
            more = {"effective_parameters": int(effective[rank])} if rank in effective else {}
            write_cell(root, rank, length, **more)
    (findings,) = condition_findings(load_studies([root]), with_tokens=False)
    return findings


@pytest.fixture(scope="module")
def new(tmp_path_factory) -> Findings:
    return found(tmp_path_factory.mktemp("new"), {1: 1056, 2: 2112, 4: 4224})


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Findings:
    return found(tmp_path_factory.mktemp("old"), {})


def test_both_stand_in_the_table_and_the_words(new):
    section = capacity_section(new, None)
    table = section.table
    assert list(table)[3:] == ["largest bits per trainable parameter", "largest bits per effective parameter"]
    assert table[list(table)[4]].tolist() == pytest.approx((2 * table[list(table)[3]]).tolist())
    words = [text for _, text in section.notes]
    assert EFFECTIVE in words
    bits = new.cells["target_tokens"] * new.cells["delta_loss_nats"] / np.log(2)
    for count in ("trainable", "effective"):
        largest = (bits / new.cells[f"{count}_parameters"]).max()
        assert any(text.startswith(f"The largest value is {largest:.2f} bits per {count} parameter") for text in words)


def test_both_have_a_panel_and_a_record(new):
    trainable, effective = (axes.get_xlabel() for axes in figures(new)["bits"].axes)
    assert "trainable parameter" in trainable and "effective parameter" in effective
    record = json.loads(json.dumps(law_record(new)))
    assert record["effective_capacity"]["best_bits_per_parameter"] == pytest.approx(
        2 * record["capacity"]["best_bits_per_parameter"]
    )


def test_cells_that_did_not_count_them_have_the_report_that_they_had(old):
    section = capacity_section(old, None)
    assert list(section.table)[3:] == ["largest bits per trainable parameter"]
    assert not any("effective" in text for _, text in section.notes)
    assert len(figures(old)["bits"].axes) == 1
    assert "effective_capacity" not in law_record(old)
