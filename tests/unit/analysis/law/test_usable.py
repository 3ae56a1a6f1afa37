import numpy as np
import pandas as pd
from helpers.synthetic import synthetic
from memlaw_analysis.law.usable import MOST_NAMES, RESOLUTION, usable


def named(**changes: dict[int, object]) -> pd.DataFrame:
    """Cells of a law with names, some values changed: column → {row: value}."""
    cells = synthetic().assign(cell=lambda rows: [f"c{number}" for number in range(len(rows))])
    for column, values in changes.items():
        for row, value in values.items():
            cells.loc[row, column] = value
    return cells


def test_sound_cells_are_all_used():
    sorted_cells = usable(named())
    assert len(sorted_cells.cells) == 20
    assert (sorted_cells.nothing, list(sorted_cells.cautions()), sorted_cells.record()) == (None, [], {})


def test_cells_are_sorted_by_what_is_wrong_with_them():
    cells = named(delta_loss_nats={0: 0.0, 1: -3.0, 2: RESOLUTION * 13, 3: np.nan}, target_tokens={4: 0})
    cells = pd.concat([cells, cells.iloc[[7]]], ignore_index=True)
    sorted_cells = usable(cells)
    assert sorted_cells.record() == {"silent": ["c0", "c1", "c2"], "unknown": ["c3", "c4"], "repeated": ["c7"]}
    assert sorted_cells.cells["cell"].tolist() == [f"c{number}" for number in range(5, 20)]
    silent, unknown, repeated = sorted_cells.cautions()
    assert silent.startswith("left out of every fit because they memorized nothing")
    assert "c1 (ΔL = -3)" in silent
    assert "c3 (ΔL = –)" in unknown
    assert "c7" in repeated


def test_another_seed_is_another_measurement_of_the_same_value():
    cells = pd.concat([named(), named().assign(seed=1)], ignore_index=True)
    assert len(usable(cells).cells) == 40


def test_where_nothing_is_usable_one_sentence_says_so():
    silent = usable(named().assign(delta_loss_nats=-1.0))
    assert silent.nothing
    assert "nothing was memorized: ΔL is 0 or less in all of 20 cells, down to -1 nats" in silent.nothing
    assert list(silent.cautions()) == []
    unknown = usable(named().assign(base_loss_nats=np.nan))
    assert unknown.nothing
    assert f"and {20 - MOST_NAMES} more" in unknown.nothing


def test_points_without_names_are_named_by_rank_and_length():
    cells = synthetic()
    cells.loc[0, "delta_loss_nats"] = 0.0
    assert "r = 1, ℓ = 128 (ΔL = 0)" in next(usable(cells).cautions())
