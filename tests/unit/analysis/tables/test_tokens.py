from pathlib import Path

import pytest
from helpers.studies import write_study
from memlaw_analysis.tables.studies import load_studies
from memlaw_analysis.tables.tokens import NoTokens, all_tokens, last_tokens, without_tokens


def test_token_tables_are_read_one_by_one(tmp_path: Path):
    table = load_studies([write_study(tmp_path, lengths=(64,))])
    (tmp_path / table["cell"].iloc[-1] / "tokens.parquet").unlink()
    assert without_tokens(table) == [table["cell"].iloc[-1]]
    tables = all_tokens(table)
    first = next(tables)
    assert list(first["step"].unique()) == [0, 1, 10]
    assert set(last_tokens([first])["step"]) == {10}
    next(tables)
    with pytest.raises(NoTokens, match=r"tokens\.parquet cannot be read"):
        next(tables)
