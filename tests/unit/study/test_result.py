from pathlib import Path

import pytest
from helpers.rows import ROW, write_row

from memlaw.core.files import write_json
from memlaw.study.identity import LATER_KEYS
from memlaw.study.records import read_results
from memlaw.study.result import read_result


def test_a_sound_row_is_read(tmp_path: Path):
    write_row(tmp_path / "cell", extra=1)
    assert read_result(tmp_path / "cell") == {"cell": "cell", **ROW, "extra": 1, **LATER_KEYS}


def test_a_row_keeps_the_keys_that_earlier_versions_lack(tmp_path: Path):
    write_row(tmp_path / "cell", **{"lora.init": "paper"})
    assert read_result(tmp_path / "cell")["lora.init"] == "paper"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"cell": "another"}, "the row of another cell: 'another'"),
        ({"loss_nats": "low"}, "loss_nats is a str"),
        ({"pack_size": 0}, "pack_size is 0"),
        ({"step_flops": -1.0}, "step_flops is -1.0"),
    ],
)
def test_a_row_that_readers_cannot_use_is_refused(tmp_path: Path, columns: dict, message: str):
    write_row(tmp_path / "cell", **columns)
    with pytest.raises(ValueError, match=message):
        read_result(tmp_path / "cell")


def test_missing_columns_and_a_missing_token_table_are_named(tmp_path: Path):
    write_json(tmp_path / "cell/result.json", {"cell": "cell", "seed": 0})
    with pytest.raises(ValueError, match=r"lacks model\.name, data\.name, method\.name, …"):
        read_result(tmp_path / "cell")
    write_row(tmp_path / "cell")
    (tmp_path / "cell/tokens.parquet").unlink()
    with pytest.raises(ValueError, match=r"tokens\.parquet is missing"):
        read_result(tmp_path / "cell")


def test_the_table_of_a_study_leaves_out_cells_that_are_not_soundly_done(tmp_path: Path):
    for name, state in (("b", "done"), ("a", "done"), ("running", "running"), ("broken", "done")):
        write_row(tmp_path / name, **{"lora.rank": 4 if name == "b" else 1})
        write_json(tmp_path / name / "status.json", {"state": state})
    (tmp_path / "broken/tokens.parquet").unlink()
    assert read_results(tmp_path)["cell"].tolist() == ["a", "b"]
