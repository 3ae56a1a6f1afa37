import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers.studies import write_cell, write_study
from memlaw_analysis.tables.studies import (
    NoCells,
    NoTokens,
    all_tokens,
    condition_title,
    conditions,
    last_tokens,
    load_points,
    load_studies,
    unfinished,
    write_table,
)

from memlaw.core.files import write_json
from memlaw.screens.tables import varied_keys


def test_each_model_is_a_condition_and_the_label_names_it(tmp_path: Path):
    table = load_studies([write_study(tmp_path, models=("alpha", "beta"))])
    assert [label for label, _ in conditions(table)] == ["model.name=alpha", "model.name=beta"]
    assert [label for label, _ in conditions(table, ignoring=("model.",))] == [""]


def test_cells_of_another_precision_or_weights_are_a_condition_of_their_own(tmp_path: Path):
    table = load_studies([write_study(tmp_path, models=("alpha", "beta"))])
    assert len(list(conditions(table.assign(dtype=["float32", "bfloat16"] * 9)))) == 4
    assert len(list(conditions(table.assign(model_fingerprint=["x", "y"] * 9)))) == 4


def test_constants_that_the_method_s_name_implies_do_not_lengthen_the_label(tmp_path: Path):
    table = load_studies([write_study(tmp_path, models=("alpha", "beta"))])
    methods = table.assign(**{"method.name": ["sft", "ot"] * 9, "method.threshold": [None, 0.5] * 9})
    assert next(label for label, _ in conditions(methods)) == "model.name=alpha method.name=ot"
    thresholds = methods.assign(**{"method.threshold": [None, 0.5, None, 0.6, None, 0.7] * 3})
    assert any("method.threshold=0.6" in label for label, _ in conditions(thresholds))


def test_a_cell_in_two_studies_counts_once_and_where_it_lies_makes_no_condition(tmp_path: Path):
    studies = [write_study(tmp_path / name, lengths=lengths) for name, lengths in (("a", (64, 128)), ("b", (128, 256)))]
    table = load_studies(studies)
    assert len(table) == 9
    assert len(list(conditions(table))) == 1


def test_the_column_condition_names_each_cell_s_condition(tmp_path: Path):
    table = load_studies([write_study(tmp_path, models=("beta", "alpha"))])
    assert set(table["condition"]) == {"alpha long_context", "beta long_context"}
    assert (table["condition"] == table["model.name"] + " long_context").all()
    assert {condition_title(cells, label) for label, cells in conditions(table)} == set(table["condition"])


def test_token_tables_are_read_one_by_one(tmp_path: Path):
    table = load_studies([write_study(tmp_path, lengths=(64,))])
    (tmp_path / table["cell"].iloc[-1] / "tokens.parquet").unlink()
    tables = all_tokens(table)
    first = next(tables)
    assert list(first["step"].unique()) == [0, 1, 10]
    assert set(last_tokens([first])["step"]) == {10}
    next(tables)
    with pytest.raises(NoTokens, match=r"tokens\.parquet cannot be read"):
        next(tables)


def test_a_status_that_cannot_be_read_is_told_and_no_crash(tmp_path: Path):
    write_study(tmp_path, lengths=(64,))
    (tmp_path / "half").mkdir()
    (tmp_path / "half/status.json").write_text('{"state": "do')
    write_json(tmp_path / "gone/status.json", {"state": "done"})
    assert len(load_studies([tmp_path])) == 3
    told = unfinished(tmp_path)
    assert told["state"].tolist() == ["unreadable", "unreadable"]
    assert "result.json" in told["cause"][0]


@pytest.mark.parametrize(
    ("text", "base_loss", "said"),
    [
        ("rank,seq_len,delta_loss_nats\n1,64,3\n1,64,\n", 12.3, "row 2 of the points"),
        ("rank,seq_len,delta_loss_nats\n0,64,3\n", 12.3, "row 1 of the points"),
        ("rank,seq_len,delta_loss_nats\n1,64,abc\n", 12.3, "row 1 of the points"),
        ("rank,seq_len,delta_loss_nats\n1,64,-2\n", 12.3, "row 1 of the points"),
        ("rank,seq_len,delta_loss_nats\n1,64,13\n", 5, "below the base loss 5"),
        ("rank,seq_len,delta_loss_nats\n1,64,13\n", float("nan"), "--base-loss nan is not a positive number"),
        ("rank,seq_len\n1,64\n", 12.3, "no column delta_loss_nats"),
        ("", 12.3, "cannot be read as CSV"),
        (None, 12.3, "cannot be read as CSV"),
    ],
)
def test_points_that_are_none_are_refused_with_their_row(tmp_path: Path, text, base_loss, said):
    file = tmp_path / "points.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(NoCells, match=re.escape(said)):
        load_points(file, base_loss)


def test_what_is_not_done_is_told(tmp_path: Path):
    write_study(tmp_path, lengths=(64,))
    for name, status in (("a", {"state": "running"}), ("b", {"state": "failed", "cause": "no memory"})):
        write_json(tmp_path / name / "status.json", status)
    assert unfinished(tmp_path).to_dict("records") == [
        {"cell": "a", "state": "running", "cause": ""},
        {"cell": "b", "state": "failed", "cause": "no memory"},
    ]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_command_writes_the_table(tmp_path: Path, ending: str):
    study, out = write_study(tmp_path / "s"), tmp_path / f"cells.{ending}"
    command = [sys.executable, "-m", "memlaw", "export", str(study), "--out", str(out)]
    assert "9 cells" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    read = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
    pd.testing.assert_frame_equal(read[["cell", "delta_loss_nats"]], load_studies([study])[["cell", "delta_loss_nats"]])


def test_another_ending_and_an_empty_study_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"neither in \.csv nor in \.parquet"):
        write_table(pd.DataFrame(), tmp_path / "cells.xlsx")
    with pytest.raises(NoCells, match="holds no finished cell"):
        load_studies([tmp_path])


def test_null_is_a_value_like_any_other(tmp_path: Path):
    for seed, clip in enumerate((1.0, 1.0, None, None)):
        write_cell(tmp_path, 1, 128, seed, **{"optimizer.clip_norm": clip})
    table = load_studies([tmp_path])
    found = {label: len(rows) for label, rows in conditions(table)}
    assert found == {"optimizer.clip_norm=1": 2, "optimizer.clip_norm=null": 2}
    thresholds = [0.5, 0.9, None, None]
    tau = table.drop(columns="optimizer.clip_norm").assign(
        **{"method.threshold": thresholds, "method.name": ["memft_ot", "memft_ot", "sft", "sft"]}
    )
    assert sum(len(rows) for _, rows in conditions(tau)) == 4


def test_models_of_other_depths_are_one_condition_when_they_are_fitted_together(tiny):
    made = [tiny(f"model.sizes.num_hidden_layers={depth}", f"model.name=m{depth}", "lora.layers=[0.667]")[0]
            for depth in (3, 6)]  # fmt: skip
    assert [cell.config.lora.layers for cell in made] == [[2], [4]]
    table = pd.DataFrame([{**cell.flat, "model_fingerprint": cell.config.model.name} for cell in made])
    assert [label for label, _ in conditions(table, ignoring=("model.",))] == [""]
    assert [label for label, _ in conditions(table)] == ["model.name=m3", "model.name=m6"]
    assert varied_keys(made) == ["seq_len", "lora.rank", "model.name"]
