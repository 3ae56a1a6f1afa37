import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import table
from memlaw_analysis.law.capacity import fit_capacity, leveling, loads
from memlaw_analysis.law.enough import TooFewCells

PER_RANK = 2112


def cells_with(level: float, k: float, longest: int):
    """Cells whose bits per parameter follow a curve that levels off."""
    grid = [(r, l) for r in (1, 2, 4) for l in (64, 128, 256, 512, 1024, 2048, 4096) if l <= longest]
    cells = table([(r, l, 0.0) for r, l in grid]).assign(trainable_parameters=lambda rows: PER_RANK * rows["lora.rank"])
    load = loads(cells)["load"].to_numpy()
    share = leveling(load, level, k) / load
    return cells.assign(delta_loss_nats=share * cells["base_loss_nats"])


def test_bits_per_parameter_are_what_the_definition_says():
    one = table([(2, 100, 3.0)]).assign(trainable_parameters=4224)
    assert loads(one)["bits_per_parameter"].item() == pytest.approx(100 * 3 / np.log(2) / 4224)
    assert loads(one)["load"].item() == pytest.approx(100 * 13.24 / np.log(2) / 4224)


def test_effective_parameters_count_in_place_of_trainable_ones_where_they_are_known():
    cells = cells_with(level=1.2, k=3, longest=4096).assign(
        effective_parameters=lambda rows: rows["trainable_parameters"] / 2
    )
    old = cells.head(4).assign(seed=1, effective_parameters=np.nan)
    found = fit_capacity(pd.concat([cells, old], ignore_index=True), "effective_parameters")
    assert found.parameter == "effective parameter"
    assert len(found.loads) == len(cells)
    assert found.plateau == pytest.approx(2.4, rel=0.02)
    assert loads(cells, "effective_parameters")["load"].tolist() == pytest.approx((2 * loads(cells)["load"]).tolist())
    with pytest.raises(TooFewCells, match="without a number of effective parameters"):
        fit_capacity(cells.drop(columns="effective_parameters"), "effective_parameters")


def test_a_plateau_is_found_with_its_level():
    found = fit_capacity(cells_with(level=1.2, k=3, longest=4096))
    assert found.reached
    assert found.plateau == pytest.approx(1.2, rel=0.02)
    assert found.plateau_interval[0] <= 1.2 * 1.001
    assert found.plateau_interval[1] >= 1.2 * 0.999
    assert abs(found.slope) < 0.1


def test_where_bits_still_rise_no_plateau_is_claimed():
    found = fit_capacity(cells_with(level=50, k=3, longest=1024))
    assert not found.reached
    assert found.slope == pytest.approx(1, abs=0.05)
    assert found.best == pytest.approx(found.loads["bits_per_parameter"].max())


def test_too_few_cells_and_unknown_sizes_are_refused():
    with pytest.raises(TooFewCells, match="3 different loads; a plateau needs 6"):
        fit_capacity(cells_with(1.2, 3, 64))
    with pytest.raises(TooFewCells, match="without a number of trainable parameters"):
        fit_capacity(table([(1, 64, 3.0)] * 9))
