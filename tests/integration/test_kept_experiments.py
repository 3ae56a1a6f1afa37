"""The pages of the experiments come out again from the rows that the repository keeps, which name no machine."""

import re

import pandas as pd
import pytest
from helpers.checkout import ROOT
from helpers.processes import python

DIRECTORY = ROOT / "docs/experiments"


@pytest.mark.slow
def test_every_number_of_the_experiments_comes_out_again():
    done = python("-m", "memlaw_analysis.commands.experiments", DIRECTORY, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted(DIRECTORY.glob("*.parquet")), ids=lambda file: file.name)
def test_rows_name_no_machine_and_no_place_on_it(file):
    rows = pd.read_parquet(file)
    texts = {value for name in rows for value in rows[name] if isinstance(value, str)}
    assert not [text for text in texts if re.match(r"(/|~|[A-Z]:\\)", text)]
    assert not [name for name in rows if "host" in name or "user" in name]


@pytest.mark.parametrize("file", sorted(DIRECTORY.glob("*.parquet")), ids=lambda file: file.name)
def test_rows_are_compact(file):
    assert file.stat().st_size < 1_000_000
