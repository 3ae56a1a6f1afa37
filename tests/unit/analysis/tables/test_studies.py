from pathlib import Path

import pandas as pd
import pytest
from helpers.studies import write_study
from memlaw_analysis.tables.conditions import conditions
from memlaw_analysis.tables.studies import NoCells, load_studies, unfinished, write_table

from memlaw.core.files import write_json


def test_a_cell_in_two_studies_counts_once_and_where_it_lies_makes_no_condition(tmp_path: Path):
    studies = [write_study(tmp_path / name, lengths=lengths) for name, lengths in (("a", (64, 128)), ("b", (128, 256)))]
    table = load_studies(studies)
    assert len(table) == 9
    assert len(list(conditions(table))) == 1


def test_a_status_that_cannot_be_read_is_told_and_no_crash(tmp_path: Path):
    write_study(tmp_path, lengths=(64,))
    (tmp_path / "half").mkdir()
    (tmp_path / "half/status.json").write_text('{"state": "do')
    write_json(tmp_path / "gone/status.json", {"state": "done"})
    assert len(load_studies([tmp_path])) == 3
    told = unfinished(tmp_path)
    assert told["state"].tolist() == ["unreadable", "unreadable"]
    assert "result.json" in told["cause"][0]


def test_what_is_not_done_is_told(tmp_path: Path):
    write_study(tmp_path, lengths=(64,))
    for name, status in (("a", {"state": "running"}), ("b", {"state": "failed", "cause": "no memory"})):
        write_json(tmp_path / name / "status.json", status)
    assert unfinished(tmp_path).to_dict("records") == [
        {"cell": "a", "state": "running", "cause": ""},
        {"cell": "b", "state": "failed", "cause": "no memory"},
    ]


def test_another_ending_and_an_empty_study_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"neither in \.csv nor in \.parquet"):
        write_table(pd.DataFrame(), tmp_path / "cells.xlsx")
    with pytest.raises(NoCells, match="holds no finished cell"):
        load_studies([tmp_path])
