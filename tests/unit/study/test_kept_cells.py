"""A study's cells in one file: analysis reads it like the directories that it was made of."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.studies import write_study
from memlaw_analysis.tables.studies import load_studies, unfinished
from memlaw_analysis.tables.tokens import all_tokens, without_tokens

from memlaw.core.files import write_json
from memlaw.study.cell import Cell
from memlaw.study.kept_cells import KEPT, keep, roots, study_cells


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Nine finished cells and a failed one."""
    directory = write_study(tmp_path / "study")
    write_json(directory / "broken/status.json", {"state": "failed", "cause": "no memory", "host": "h", "pid": 1})
    return directory


def test_the_kept_file_gives_the_same_table_and_the_same_tokens(study: Path, tmp_path: Path):
    command = [sys.executable, "-m", "memlaw_analysis.commands.export", str(study), "--keep", str(tmp_path / "kept")]
    assert "10 cells" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [KEPT]
    whole, kept = load_studies([study]), load_studies([tmp_path / "kept"])
    pd.testing.assert_frame_equal(whole.drop(columns="study"), kept.drop(columns="study"), check_exact=True)
    for one, other in zip(all_tokens(whole), all_tokens(kept), strict=True):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert without_tokens(kept) == []
    assert unfinished(tmp_path / "kept").to_dict("records") == unfinished(study).to_dict("records")


def test_the_same_cells_give_the_same_file_which_says_nothing_of_the_machine(study: Path, tmp_path: Path):
    for name in ("a", "b"):
        keep(study, tmp_path / name)
    assert (tmp_path / "a" / KEPT).read_bytes() == (tmp_path / "b" / KEPT).read_bytes()
    with zipfile.ZipFile(tmp_path / "a" / KEPT) as kept:
        assert kept.read("broken/status.json") == b'{"state": "failed", "attempt": 0, "cause": "no memory"}'


def test_cells_beside_the_kept_file_count_as_well_and_once(study: Path, tmp_path: Path):
    keep(study, tmp_path / "kept")
    write_study(tmp_path / "kept", lengths=(128, 4096))
    assert len(load_studies([tmp_path / "kept"])) == 12


def test_configs_are_kept_without_code_locations_and_stay_the_same_cells(tiny, tmp_path: Path):
    cell, _ = tiny()
    cell.plan()
    study = cell.paths.directory.parent
    keep(study, tmp_path / "kept")
    (_, kept) = roots(tmp_path / "kept")
    assert "_target_" in cell.paths.config.read_text()
    text = (kept / cell.name / "config.yaml").read_text(encoding="utf-8")
    assert "_target_" not in text
    assert yaml.safe_load(text)["lora"]["rank"] == cell.config.lora.rank
    with zipfile.ZipFile(tmp_path / "kept" / KEPT) as archive:
        archive.extractall(tmp_path / "again")
    assert Cell.load(tmp_path / "again" / cell.name).name == cell.name


def test_a_file_that_is_no_zip_is_named(tmp_path: Path):
    (tmp_path / KEPT).write_text("no zip")
    with pytest.raises(ValueError, match=rf"{KEPT} cannot be read"):
        load_studies([tmp_path])


def test_a_kept_study_is_kept_again_with_the_cells_beside_its_file(tmp_path: Path):
    write_study(tmp_path / "study", lengths=(64, 128))
    cells = len(study_cells(tmp_path / "study"))
    assert keep(tmp_path / "study", tmp_path / "kept") == cells
    write_study(tmp_path / "kept", lengths=(256,))
    assert keep(tmp_path / "kept", tmp_path / "kept") == len(study_cells(tmp_path / "kept")) > cells
    assert keep(tmp_path / "kept", tmp_path / "again") == len(load_studies([tmp_path / "again"]))


def test_a_study_without_cells_is_not_kept(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no cell to keep"):
        keep(tmp_path / "empty", tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
