import sys
from pathlib import Path

import pytest
from helpers.checkout import ROOT
from helpers.configs import composed
from memlaw_analysis.advice.data_bits import QUERY, DataBits, score_data

from memlaw.core.errors import ConfigError

STAND_IN = (sys.executable, str(ROOT / "tests/helpers/verify_stand_in.py"))


def test_data_is_scored_by_the_base_model_alone(tmp_path: Path):
    file = tmp_path / "facts.jsonl"
    file.write_text("a row\n" * 30)
    assert score_data(file, "smollm2_135m", STAND_IN) == DataBits(file, 1200.0, 30, 300)


def test_data_that_is_refused_says_so(tmp_path: Path, capfd):
    file = tmp_path / "facts.jsonl"
    file.touch()
    with pytest.raises(ConfigError, match=r"facts\.jsonl could not be scored by m; the message"):
        score_data(file, "m", STAND_IN)
    assert "the file is empty" in capfd.readouterr().err


def test_a_sweep_surrounds_the_rank():
    data = DataBits(Path("facts.jsonl"), 1200.0, 30, 300)
    assert data.sweep(6.7) == ([3, 7, 14], [300])
    assert data.sweep(1) == ([1, 2], [300])
    assert data.trainable == {"data.name": "table", "data.path": "facts.jsonl", "batch_size": 30}
    assert DataBits(Path("a.txt"), 1.0, 1, 9).trainable == {"data.name": "text", "data.path": "a.txt", "batch_size": 1}


def test_a_text_is_asked_as_it_is_trained():
    assert composed("data=text", "data.path=x.txt").data.query == QUERY
