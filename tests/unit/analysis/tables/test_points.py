import re
from pathlib import Path

import pytest
from memlaw_analysis.tables.points import load_points
from memlaw_analysis.tables.studies import NoCells


@pytest.mark.parametrize(
    ("text", "base_loss", "message"),
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
def test_points_that_are_none_are_refused_with_their_row(tmp_path: Path, text, base_loss, message):
    file = tmp_path / "points.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(NoCells, match=re.escape(message)):
        load_points(file, base_loss)


def test_points_become_cells_in_the_columns_that_the_law_needs(tmp_path: Path):
    file = tmp_path / "points.csv"
    file.write_text("# a comment\nrank,seq_len,delta_loss_nats,colour\n1,64,3,red\n2,128,4,blue\n")
    cells = load_points(file, 12.0)
    assert cells.to_dict("list") == {
        "lora.rank": [1.0, 2.0], "seq_len": [64.0, 128.0], "delta_loss_nats": [3.0, 4.0],
        "target_tokens": [64.0, 128.0], "base_loss_nats": [12.0, 12.0], "loss_nats": [9.0, 8.0], "seed": [0, 0],
    }  # fmt: skip
