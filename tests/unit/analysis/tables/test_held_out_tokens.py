"""The page on tokens that were not trained on shows its rows."""

import re

import pandas as pd
import pytest
from helpers.checkout import ROOT

STUDY = ROOT / "docs/study"


def test_the_table_is_that_of_the_rows():
    rows = pd.read_parquet(STUDY / "held_out_tokens.parquet")
    rows = rows.assign(
        delta=rows["base_loss_nats"] - rows["loss_nats"], source=rows["base_loss_nats"] - rows["source_entropy_nats"]
    )
    page = (STUDY / "held_out_tokens.md").read_text(encoding="utf-8").replace("−", "-")
    table = [[float(cell) for cell in line.strip("|").split("|")] for line in re.findall(r"^\| \d.*$", page, re.M)]
    own = rows["seed"] == rows["other_seed"]
    assert len(table) == own.sum() == 8
    for rank, length, steps, *shown in table:
        here = (rows["rank"] == rank) & (rows["seq_len"] == length) & (rows["steps"] == steps)
        means = [rows[here & own]["delta"], rows[here & ~own]["delta"], rows[here & ~own]["source"]]
        assert shown == pytest.approx([part.mean() for part in means], abs=0.006)
