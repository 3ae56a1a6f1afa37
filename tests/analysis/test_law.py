import numpy as np
import pandas as pd
import pytest

from analysis.law import MIN_CELLS, TooFewCells, fit_law, is_saturated, memory_law

TRUTH = {"C": 60.0, "alpha": 0.7, "beta": 0.6, "b": 0.4}


def table(cells: list[tuple[int, int, float]], base_loss: float = 13.24) -> pd.DataFrame:
    frame = pd.DataFrame(cells, columns=["lora.rank", "seq_len", "delta_loss_nats"])
    return frame.assign(
        target_tokens=frame["seq_len"], base_loss_nats=base_loss, loss_nats=base_loss - frame["delta_loss_nats"]
    )


def synthetic(noise: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    grid = [(r, l) for r in (1, 2, 4, 8) for l in (128, 256, 512, 1024, 2048)]
    r, l = np.array(grid, dtype=float).T
    delta_loss = memory_law(r, l, **TRUTH) + noise * rng.standard_normal(len(r))
    return table([(*point, value) for point, value in zip(grid, np.minimum(delta_loss, 13.2), strict=True)])


# SmolLM2-135M, one down_proj, 200 steps, L0 = 13.24
MEASURED = table(
    [
        (1, 64, 10.33), (1, 128, 6.712), (2, 128, 11.31), (1, 256, 4.951), (2, 256, 8.163), (4, 256, 12.536),
        (1, 512, 3.699), (2, 512, 5.557), (4, 512, 8.911), (8, 512, 11.578), (16, 512, 12.96), (2, 64, 13.224),
        (4, 64, 13.257), (4, 128, 13.27), (8, 256, 13.176), (16, 256, 13.205),
    ]
)  # fmt: skip


def test_a_known_law_is_recovered_without_noise():
    fit = fit_law(synthetic())
    for name, value in TRUTH.items():
        assert fit.parameters()[name][0] == pytest.approx(value, rel=0.01)
    assert fit.r_squared == pytest.approx(1)


def test_a_known_law_is_within_its_errors_with_noise():
    fit = fit_law(synthetic(noise=0.1))
    for name in ("alpha", "beta"):
        value, stderr = fit.parameters()[name]
        assert stderr is not None
        assert abs(value - TRUTH[name]) < 3 * stderr


def test_saturated_cells_are_left_out_and_counted():
    cells = synthetic()
    saturated = int(is_saturated(cells).sum())
    assert saturated > 0
    fit = fit_law(cells)
    assert (fit.cells, fit.excluded) == (len(cells) - saturated, saturated)


def test_the_measured_cells_give_the_figures_of_an_independent_fit():
    fit = fit_law(MEASURED)
    assert (fit.cells, fit.excluded) == (7, 9)
    parameters = fit.parameters()
    for name, value, stderr in (("alpha", 0.99, 0.20), ("beta", 0.74, 0.14), ("b", 1.9, 0.9)):
        assert parameters[name][0] == pytest.approx(value, abs=0.01 if name != "b" else 0.06)
        assert parameters[name][1] == pytest.approx(stderr, rel=0.1)
    assert fit.r_squared == pytest.approx(0.996, abs=5e-4)


def test_a_fit_that_runs_away_is_flagged():
    r, l = np.array([(r, l) for r in (1, 2, 4) for l in (256, 512, 1024)], dtype=float).T
    cells = table([(int(a), int(b), 9 + 2 * np.log(a) - 1.2 * np.log(b)) for a, b in zip(r, l, strict=True)])
    assert any("bound" in warning for warning in fit_law(cells).warnings)


def test_few_cells_hold_the_offset_at_zero_and_say_so():
    r, l = np.array([(1, 64), (1, 256), (1, 1024), (4, 1024)], dtype=float).T
    fit = fit_law(table(list(zip(r, l, memory_law(r, l, 50, 0.5, 0.4, 0.0), strict=True))))
    parameters = fit.parameters()
    assert parameters["b"] == (0.0, None)
    assert parameters["alpha"][0] == pytest.approx(0.5, rel=1e-3)
    assert any("b is held at 0" in warning for warning in fit.warnings)
    assert any("1 degree(s) of freedom" in warning for warning in fit.warnings)


@pytest.mark.parametrize(
    "cells",
    [
        [(1, 64, 2.0), (2, 64, 3.0), (4, 128, 3.0)],
        [(1, length, 2.0) for length in range(64, 64 + MIN_CELLS)],
        [(rank, 64, 2.0) for rank in range(1, 1 + MIN_CELLS)],
        [(rank, length, 13.2) for rank in (1, 2, 4) for length in (64, 128)],
    ],
)
def test_too_few_cells_say_what_is_missing_instead_of_a_fit(cells):
    with pytest.raises(TooFewCells, match="Add longer lengths or smaller ranks"):
        fit_law(table(cells))
