import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import synthetic
from memlaw_analysis.law.enough import TooFewCells, check_enough, check_varied, distinct_points


def test_seeds_share_a_grid_point_and_models_do_not():
    cells = pd.concat([synthetic().assign(seed=seed) for seed in range(3)])
    assert distinct_points(cells) == 20
    assert distinct_points(pd.concat([cells.assign(**{"model.name": name}) for name in "ab"])) == 40


def test_one_point_more_than_parameters_over_two_ranks_and_lengths_is_enough():
    cells = synthetic()
    grid = cells[cells["lora.rank"].isin([1, 2]) & cells["target_tokens"].isin([128, 256])]
    check_enough(grid, grid.head(0), 3)
    with pytest.raises(TooFewCells, match=r"4 parameters need 5 over 2 ranks and 2 lengths \(1 saturated cells"):
        check_enough(grid, grid.head(1), 4)
    for column in ("lora.rank", "target_tokens"):
        line = cells[cells[column] == cells[column].iloc[0]]
        with pytest.raises(TooFewCells, match="Add longer lengths or smaller ranks"):
            check_enough(line, line.head(0), 2)


def test_equal_values_have_no_law():
    check_varied(np.array([3.0, 3.001]))
    with pytest.raises(TooFewCells, match="the same 3 nats in all of 2 cells"):
        check_varied(np.array([3.0, 3.0 + 1e-10]))
