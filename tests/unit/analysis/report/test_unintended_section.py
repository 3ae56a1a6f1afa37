"""What is stored beyond the source, in words, table, summary and record."""

import json

import pytest
from helpers.studies import BASE_LOSS, write_cell
from memlaw_analysis.findings import Findings
from memlaw_analysis.report.record import law_record
from memlaw_analysis.report.section import CAUTION
from memlaw_analysis.report.sections import sections
from memlaw_analysis.report.study_parts import condition_findings
from memlaw_analysis.report.summary import findings_summary
from memlaw_analysis.report.unintended_section import COUNTED, unintended_section
from memlaw_analysis.tables.studies import load_studies

H = 10.8
NATS = {1: 600.0, 2: 1500.0, 4: 3700.0}


def found(root, **more: object) -> Findings:
    """Findings of cells that store a fixed amount for each rank, or all there is."""
    for rank, nats in NATS.items():
        for length in (128, 512, 1024, 2048):
            delta_loss = BASE_LOSS - H + min(nats / length, 0.9 * H)
            write_cell(root, rank, length, delta_loss_nats=delta_loss, loss_nats=BASE_LOSS - delta_loss, **more)
    (findings,) = condition_findings(load_studies([root]), with_tokens=False)
    return findings


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> Findings:
    return found(tmp_path_factory.mktemp("known"), source_entropy_nats=H)


def test_the_table_has_a_row_per_rank_and_brackets_around_cells_that_store_most(known):
    section = unintended_section(known.unintended)
    assert list(section.table) == ["rank", "ℓ = 128", "ℓ = 512", "ℓ = 1024", "ℓ = 2048"]
    assert section.table["rank"].tolist() == [1, 2, 4]
    assert section.table["ℓ = 128"].tolist() == ["600", f"({0.9 * H * 128:.0f})", f"({0.9 * H * 128:.0f})"]
    assert section.table["ℓ = 512"].tolist() == ["600", "1500", "(3700)"]
    words = [text for _, text in section.notes]
    assert words[0] == COUNTED
    assert words[1].startswith("Over 9 cells that store at most 50% of their target, I grows like ℓ^")


def test_cells_that_store_nothing_are_counted(known):
    cells = known.unintended.cells.assign(nats=lambda rows: rows["nats"].where(rows["target_tokens"] < 2048, -5.0))
    notes = unintended_section(type(known.unintended)(cells, 0.0, (-0.1, 0.1))).notes
    assert (CAUTION, "3 cells store nothing beyond the source (L ≥ H)") in notes


def test_the_summary_and_the_record_say_the_same(known):
    lines = findings_summary(known, [], None)
    (index,) = [number for number, line in enumerate(lines) if line.topic == "beyond H"]
    assert lines[index].text == "600, 1500, 3700 nats stored beyond the source at r = 1, 2, 4"
    assert "like ℓ^" in lines[index + 1].text
    record = json.loads(json.dumps(law_record(known)))["unintended"]
    assert record["cells"] == 9
    assert record["nats_by_rank"] == [[rank, pytest.approx(nats)] for rank, nats in NATS.items()]
    assert record["slope"] == pytest.approx(0, abs=1e-9)
    assert "unintended" in [section.slug for section in sections(known, None)]


def test_where_the_entropy_is_not_known_nothing_is_said_of_it(tmp_path):
    for number, more in enumerate(({}, {"source_entropy_nats": None})):
        unknown = found(tmp_path / str(number), **more)
        assert unknown.unintended is None
        assert "unintended" not in law_record(unknown)
        assert "unintended" not in [section.slug for section in sections(unknown, None)]
        assert "beyond H" not in [line.topic for line in findings_summary(unknown, [], None)]
        assert not unknown.rivals["form"].str.startswith("information").any()
