import json
import math

import numpy as np
import pandas as pd
import pytest
from helpers.rows import write_row
from hypothesis import given
from hypothesis import strategies as st

from memlaw.study import records
from memlaw.study.records import Evaluated, TokenLog, capacity, log_spaced_steps, token_scalars


def evaluated(step: int, nll: list[float], argmax: list[int], weight: list[float]) -> Evaluated:
    """An evaluation whose most probable tokens have half the loss of the targets."""
    nll_S = np.array(nll, dtype=np.float32)
    return Evaluated(step, nll_S, np.array(argmax), nll_S / 2, np.array(weight))


def log_of(*evaluations: tuple[int, list[float], list[int]]) -> TokenLog:
    log = TokenLog(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([7, 8, 9]))
    for step, nll, argmax in evaluations:
        log.add(evaluated(step, nll, argmax, [1.0] * 3))
    return log


def test_scalars_by_hand():
    log = log_of((0, [3.0, 2.0, 1.0], [1, 1, 1]), (5, [0.1, 0.7, 0.2], [7, 8, 1]))
    scalars = log.scalars()
    assert scalars["base_loss_nats"] == 2
    assert scalars["loss_nats"] == pytest.approx(1 / 3)
    assert scalars["delta_loss_nats"] == pytest.approx(5 / 3)
    assert scalars["recalled_share"] == pytest.approx(2 / 3)  # exp(-0.7) < 0.5
    assert scalars["min_p"] == pytest.approx(math.exp(-0.7))
    assert scalars["first_stubborn"] == 1
    assert scalars["teacher_forced_accuracy"] == pytest.approx(2 / 3)


def test_p_of_exactly_one_half_is_stubborn():
    at_edge = np.array([math.log(2)])
    assert token_scalars(at_edge, at_edge, np.array([True]))["first_stubborn"] == 0
    below = np.array([math.log(2) - 1e-9])
    assert token_scalars(at_edge, below, np.array([True]))["first_stubborn"] is None


def test_capacity_by_hand():
    bits = {"memorized_bits": 8, "bits_per_parameter": 2}
    assert capacity(math.log(2), 8, 4, 2) == {**bits, "bits_per_effective_parameter": 4}
    assert capacity(math.log(2), 8, 4, 0) == {**bits, "bits_per_effective_parameter": None}


def test_the_token_table_is_written_and_read_back(tmp_path):
    log = log_of((0, [3.0, 2.0, 1.0], [1, 1, 1]), (5, [0.1, 0.7, 0.2], [7, 8, 1]))
    records.write_tokens(tmp_path / "tokens.parquet", log.table())
    table = records.read_tokens(tmp_path / "tokens.parquet")
    assert list(table.columns) == [*records.TOKEN_COLUMNS, "p"]
    assert len(table) == 6
    last = table[table["step"] == 5]
    assert last["base_nll"].tolist() == [3, 2, 1]
    np.testing.assert_allclose(last["argmax_nll"], [0.05, 0.35, 0.1], rtol=1e-6)
    assert last["argmax_id"].tolist() == [7, 8, 1]
    np.testing.assert_allclose(last["p"], np.exp([-0.1, -0.7, -0.2]), rtol=1e-6)
    assert last["pair"].tolist() == [0, 0, 1]
    stubborn = records.stubborn_tokens(table, 2)
    assert stubborn["token_id"].tolist() == [8, 9]


def test_numbers_that_are_not_finite_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        records.write_result(tmp_path / "result.json", {"loss_nats": math.nan})
    assert not list(tmp_path.iterdir())


def test_only_finished_cells_are_read(tmp_path):
    for name, state in (("b", "done"), ("a", "done"), ("c", "running")):
        directory = tmp_path / name
        directory.mkdir()
        write_row(directory, seed=ord(name))
        (directory / "status.json").write_text(json.dumps({"state": state}))
    assert records.read_results(tmp_path)["cell"].tolist() == ["a", "b"]
    assert records.read_results(tmp_path / "none").empty


def test_where_weight_lies_and_where_the_argmax_fails_first():
    log = log_of((0, [3.0, 2.0, 1.0], [1, 1, 1]))
    log.add(evaluated(5, [0.1, 2.0, 0.2], [7, 9, 9], [0.5, 1.0, 0.0]))
    scalars = log.scalars()
    assert scalars["first_wrong"] == 1
    assert scalars["active_share"] == pytest.approx(0.5)
    assert scalars["spent_share"] == pytest.approx(0.5 / 1.5)
    log.add(evaluated(6, [0.0] * 3, [7, 8, 9], [0.0] * 3))
    assert (log.scalars()["first_wrong"], log.scalars()["spent_share"]) == (None, 0.0)


@given(st.integers(1, 5000), st.integers(1, 20))
def test_evaluation_steps_start_at_the_base_and_end_at_the_last(total: int, per_decade: int):
    steps = log_spaced_steps(total, per_decade)
    assert steps[0] == 0
    assert steps[-1] == total
    assert list(steps) == sorted(set(steps))
    assert len(steps) <= per_decade * math.log10(total) + 3


def test_the_long_table_has_the_documented_dtypes():
    table = log_of((0, [3.0, 2.0, 1.0], [1, 1, 1])).table()
    assert isinstance(table, pd.DataFrame)
    assert {name: str(table[name].dtype) for name in table} == {
        name: dtype for name, (dtype, _) in records.TOKEN_COLUMNS.items()
    }


def test_texts_are_those_of_the_last_evaluation(tmp_path):
    log = records.TokenLog(np.zeros(2, int), np.arange(2), np.array([5, 7]))
    for step, argmax in ((0, [1, 2]), (3, [5, 8])):
        log.add(records.Evaluated(step, np.ones(2), np.array(argmax), np.ones(2), np.ones(2)))
    records.write_texts(tmp_path / "texts.json", log.table(), {5: "five", 7: "\n", 8: "�"}.__getitem__)
    assert records.read_texts(tmp_path / "texts.json") == {5: "five", 7: "\n", 8: "�"}
