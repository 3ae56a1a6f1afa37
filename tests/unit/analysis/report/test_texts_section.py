"""The texts of a report: the cells nearest to recall, where their texts are on disk."""

from pathlib import Path

import numpy as np
import pytest
from helpers.studies import write_study
from memlaw_analysis.findings import Findings
from memlaw_analysis.report.page import page
from memlaw_analysis.report.part import findings_part
from memlaw_analysis.report.study_parts import condition_findings
from memlaw_analysis.report.texts_section import texts_sections
from memlaw_analysis.tables.studies import load_studies

from memlaw.core.files import write_json
from memlaw.study.kept_cells import keep
from memlaw.study.records import read_tokens, write_tokens

TEXTS = {"0": "<b>", "1": " a", "2": "\n", "3": "end", "9": "rival"}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Nine cells whose last token fails, but one, which is recalled; another is further from recall than all."""
    write_study(tmp_path / "study")
    for directory in (tmp_path / "study").iterdir():
        write_json(directory / "texts.json", TEXTS)
    _set_last(tmp_path / "study/m-4-128-0", 0.01)
    _set_last(tmp_path / "study/m-1-128-0", 5.0)
    return tmp_path / "study"


def _set_last(cell: Path, nll: float) -> None:
    table = read_tokens(cell / "tokens.parquet").drop(columns="p")
    table.loc[table["step"] == table["step"].max(), "nll"] = np.float32(nll)
    write_tokens(cell / "tokens.parquet", table)


def found(study: Path) -> Findings:
    (findings,) = condition_findings(load_studies([study]), with_tokens=True)
    return findings


def test_the_cells_nearest_to_recall_are_shown_and_no_more_than_three(study: Path):
    findings = found(study)
    (section,) = texts_sections(findings, findings.tokens)
    cells = [text.heading.split(",")[0] for text in section.texts]
    assert len(cells) == 3
    assert not {"m-4-128-0", "m-1-128-0"} & set(cells)
    first = section.texts[0]
    assert [token.shown for token in first.tokens] == ["<b>", " a", "↵\n", "end"]
    assert first.failure.startswith("First failure at position 3: “end” has p = 0.0498, “rival” has p = 0.368.")


def test_the_page_holds_the_texts_escaped_and_their_colours(study: Path):
    findings = found(study)
    text = page("a page", "", [(findings_part(findings, None), {})], None, [])
    assert text.count('<p class="tokens">') == 3
    assert ">&lt;b&gt;</span>" in text
    assert ".stubborn {" in text


def test_kept_cells_keep_their_texts(study: Path, tmp_path: Path):
    keep(study, tmp_path / "kept")
    findings = found(tmp_path / "kept")
    (section,) = texts_sections(findings, findings.tokens)
    assert len(section.texts) == 3


def test_without_texts_on_disk_the_page_is_without_them(study: Path):
    for file in study.glob("*/texts.json"):
        file.unlink()
    findings = found(study)
    assert texts_sections(findings, findings.tokens) == []
    assert ".stubborn" not in page("a page", "", [(findings_part(findings, None), {})], None, [])


def test_a_damaged_file_of_texts_is_named(study: Path):
    for file in study.glob("*/texts.json"):
        file.write_text("{", encoding="utf-8")
    findings = found(study)
    (section,) = texts_sections(findings, findings.tokens)
    assert "texts.json cannot be read" in section.notes[0][1]
