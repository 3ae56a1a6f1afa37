"""What is stored beyond the source, and whether it depends on the length."""

import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import synthetic, table, with_source
from hypothesis import given, settings
from hypothesis import strategies as st
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.unintended import fit_unintended, unintended

H, BASE_LOSS = 10.8, 13.24


def storing(nats: dict[tuple[int, int], float]) -> pd.DataFrame:
    """Cells that store so many nats: (rank, length) → I."""
    cells = [(rank, length, BASE_LOSS - H + stored / length) for (rank, length), stored in nats.items()]
    return with_source(table(cells, BASE_LOSS), H)


def test_it_counts_from_the_entropy():
    found = unintended(storing({(1, 128): 600.0, (2, 256): 1600.0}))
    assert found["nats"].tolist() == pytest.approx([600, 1600])
    assert found["share"].tolist() == pytest.approx([600 / 128 / H, 1600 / 256 / H])


@given(st.floats(-0.5, 0.5), st.floats(0.5, 1.5), st.floats(50, 300))
@settings(max_examples=30)
def test_a_known_growth_with_the_length_is_found(slope: float, alpha: float, level: float):
    nats = {(r, l): level * r**alpha * (l / 512) ** slope for r in (1, 2) for l in (512, 1024, 4096)}
    found = fit_unintended(storing(nats))
    assert found.slope == pytest.approx(slope, abs=1e-6)
    assert found.slope_interval == pytest.approx((slope, slope), abs=1e-6)


def test_the_slope_and_its_interval_are_those_of_least_squares_with_an_intercept_for_each_rank():
    rng = np.random.default_rng(0)
    nats = {(r, l): 400 * r * float(np.exp(0.1 * rng.normal())) for r in (1, 2, 3) for l in (1024, 2048, 4096)}
    found = fit_unintended(storing(nats))
    x = np.array([[np.log(l), *(r == other for other in (1, 2, 3))] for r, l in nats], dtype=float)
    y = np.log(list(nats.values()))
    coefficients, rss, *_ = np.linalg.lstsq(x, y, rcond=None)
    stderr = np.sqrt(rss[0] / (9 - 4) * np.linalg.inv(x.T @ x)[0, 0])
    assert found.slope == pytest.approx(coefficients[0])
    reach = 2.5706 * stderr  # t of 5 degrees of freedom
    assert found.slope_interval == pytest.approx((coefficients[0] - reach, coefficients[0] + reach), rel=1e-4)


def test_cells_that_store_most_of_their_target_or_nothing_do_not_count():
    free = {(1, 256): 600.0, (1, 512): 600.0, (1, 1024): 600.0}
    found = fit_unintended(storing({**free, (1, 64): 0.8 * 64 * H, (1, 2048): -50.0}))
    assert len(found.cells) == 5
    assert len(found.free) == 3
    assert found.slope == pytest.approx(0, abs=1e-9)
    assert found.by_rank.to_dict() == pytest.approx({1: 600})


def test_cells_without_an_entropy_are_left_out_and_alone_are_refused():
    known = storing({(1, l): 600.0 for l in (256, 512, 1024)})
    more = table([(1, 2048, 3.0)], BASE_LOSS)
    assert len(fit_unintended(pd.concat([known, more], ignore_index=True)).cells) == 3
    for cells in (synthetic(), with_source(synthetic(), np.nan)):
        with pytest.raises(TooFewCells, match="the entropy of the source is not known"):
            fit_unintended(cells)


@pytest.mark.parametrize(
    "nats",
    [
        {(1, 512): 600.0, (1, 1024): 600.0},
        {(1, 512): 600.0, (2, 512): 1500.0, (4, 512): 2500.0},
        {(1, 64): 600.0, (1, 65): 600.0, (1, 66): 600.0},
    ],
)
def test_too_few_cells_have_no_slope(nats):
    with pytest.raises(TooFewCells, match="cells store at most 50% of their target"):
        fit_unintended(storing(nats))
