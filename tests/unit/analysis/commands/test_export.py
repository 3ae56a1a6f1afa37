import zipfile
from pathlib import Path

import pandas as pd
import pytest
from helpers.studies import write_study
from memlaw_analysis.commands import export
from memlaw_analysis.tables.studies import load_studies

from memlaw.study.kept_cells import KEPT


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_table_of_a_study_is_written(tmp_path: Path, ending: str, call):
    study, out = write_study(tmp_path / "s"), tmp_path / f"cells.{ending}"
    code, text, _ = call(export, study, "--out", out)
    assert (code, text) == (0, f"9 cells: {out}\n")
    read = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    pd.testing.assert_frame_equal(read[["cell", "delta_loss_nats"]], load_studies([study])[["cell", "delta_loss_nats"]])


def test_a_study_is_kept_in_one_file(tmp_path: Path, call):
    study = write_study(tmp_path / "s", lengths=(64,))
    code, text, _ = call(export, study, "--keep", tmp_path / "kept")
    assert (code, text) == (0, f"3 cells: {tmp_path / 'kept' / KEPT}\n")
    assert len(load_studies([tmp_path / "kept"])) == 3


def test_what_cannot_be_exported_is_one_line(tmp_path: Path, call):
    study = write_study(tmp_path / "s", lengths=(64,))
    for arguments, reason in (
        ((study, "--out", tmp_path / "cells.xlsx"), "ends neither in .csv nor in .parquet"),
        ((tmp_path / "none", "--out", tmp_path / "cells.csv"), "holds no finished cell"),
        ((study, study, "--keep", tmp_path / "kept"), "--keep takes one study"),
    ):
        code, _, errors = call(export, *arguments)
        assert (code, reason in errors.splitlines()[-1]) == (2, True), errors
    assert {path.name for path in tmp_path.iterdir()} == {"s"}


def test_a_damaged_file_of_kept_cells_is_refused(tmp_path: Path, call):
    (tmp_path / KEPT).write_bytes(b"no zip")
    assert call(export, tmp_path, "--out", tmp_path / "cells.csv")[0] == 2
    study = write_study(tmp_path / "s", lengths=(64,))
    call(export, study, "--keep", tmp_path / "kept")
    file = tmp_path / "kept" / KEPT
    with zipfile.ZipFile(file) as kept:
        place = kept.getinfo(next(name for name in kept.namelist() if name.endswith("result.json"))).header_offset
    content = bytearray(file.read_bytes())
    content[place + 120 : place + 140] = bytes(20)
    file.write_bytes(content)
    code, _, errors = call(export, tmp_path / "kept", "--out", tmp_path / "cells.csv")
    assert "Traceback" not in errors
    assert code in (0, 2)
