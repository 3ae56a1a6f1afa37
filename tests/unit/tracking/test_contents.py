import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memlaw.study.records import TOKEN_COLUMNS, Evaluated, TokenLog
from memlaw.tracking.contents import (
    STRIP_WIDTH,
    STUBBORN_ROWS,
    histogram,
    probability_strip,
    run_config,
    run_summary,
    run_tags,
    stubborn_rows,
)


def tokens(p_ES: np.ndarray) -> pd.DataFrame:
    """A token table of one pair with the given probabilities, evaluations by target tokens; all argmaxes have 0.9."""
    S = p_ES.shape[1]
    held = TokenLog(np.zeros(S, int), np.arange(S), np.arange(S) + 100)
    for step, p_S in enumerate(p_ES):
        held.add(Evaluated(step, -np.log(p_S), np.arange(S) + 500, np.full(S, -np.log(0.9)), np.ones(S)))
    assert set(held.table()) == set(TOKEN_COLUMNS)
    return held.table()


def test_the_stubborn_table_begins_with_the_least_probable_and_names_its_rival():
    rows = stubborn_rows(tokens(np.array([[0.5, 0.5, 0.5], [0.6, 0.1, 0.3]])), lambda token_id: f"<{token_id}>")
    assert [row[rows.columns.index("position")] for row in rows.rows] == [1, 2, 0]
    first = dict(zip(rows.columns, rows.rows[0], strict=True))
    assert (first["token"], first["argmax"]) == ("<101>", "<501>")
    assert (first["p"], first["argmax_p"]) == (pytest.approx(0.1), pytest.approx(0.9))
    assert first["base_nll"] == pytest.approx(np.log(2))


def test_the_stubborn_table_stays_small():
    assert len(stubborn_rows(tokens(np.full((1, 5000), 0.3)), str).rows) == STUBBORN_ROWS


@given(st.lists(st.floats(0, 1), min_size=1))
def test_every_token_is_in_the_histogram_once(p):
    counts, edges = histogram(np.array(p))
    assert counts.sum() == len(p)
    assert len(edges) == len(counts) + 1


@given(st.integers(1, 3 * STRIP_WIDTH), st.integers(1, 30), st.randoms(use_true_random=False))
def test_no_stubborn_token_disappears_from_the_strip(size: int, evaluations: int, random):
    stubborn = random.randrange(size)
    p_ES = np.full((evaluations, size), 0.99)
    p_ES[-1, stubborn] = 0.01
    pixels = probability_strip(tokens(p_ES)).pixels
    assert pixels.dtype == np.uint8 and pixels.shape[1] <= STRIP_WIDTH
    red_W = pixels[-1, :, 0] > pixels[-1, :, 2]
    at = np.flatnonzero(red_W).mean() / pixels.shape[1]
    assert at == pytest.approx((stubborn + 0.5) / size, abs=1.5 / min(size, STRIP_WIDTH))
    assert not (pixels[0, :, 0] > pixels[0, :, 2]).any() or evaluations == 1


def test_what_a_table_of_runs_is_sorted_by_stands_at_the_top(tiny):
    cell, _ = tiny("lora.rank=3", "seed=7", "method=memft_ot")
    held = run_config(cell)
    assert held["rank"] == 3 and held["seed"] == 7 and held["method"] == "memft_ot" and held["study"] == "default"
    assert held["config"]["optimizer"]["lr"] == cell.config.optimizer.lr
    assert "_target_" not in str(held)
    assert not any("." in name for name in held)
    assert "rank 3" in run_tags(cell)


def test_the_summary_is_what_was_measured():
    held = run_summary({"cell": "a", "lora.rank": 3, "loss_nats": 0.5, "first_wrong": None, "version.torch": "2"})
    assert held == {"loss_nats": 0.5, "first_wrong": None, "version": {"torch": "2"}}
