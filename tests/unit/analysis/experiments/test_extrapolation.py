import numpy as np
import pandas as pd
import pytest
from memlaw_analysis.experiments.extrapolation import extrapolate
from memlaw_analysis.law.enough import TooFewCells

LEVELS = {1: 4.0, 2: 7.0, 4: 10.0}
STEPS = (100, 400, 1600, 4000)


def cells(
    power: float = 0.6, amplitude: float = 30.0, noise: float = 0.0, steps=STEPS, ranks=(1, 2, 4)
) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [(r, s, LEVELS[r] - amplitude * s**-power + noise * rng.standard_normal()) for r in ranks for s in steps]
    return pd.DataFrame(rows, columns=["lora.rank", "steps", "delta_loss_nats"]).assign(base_loss_nats=13.2)


def test_exact_cells_give_their_levels_power_and_cost():
    found = extrapolate(cells(), ["lora.rank"])
    assert found.power.value == pytest.approx(0.6, abs=1e-4)
    assert found.points["delta_loss_nats"].tolist() == pytest.approx(list(LEVELS.values()), rel=1e-4)
    needed = [(30 / (0.05 * level)) ** (1 / 0.6) for level in LEVELS.values()]
    assert found.points["steps_needed"].tolist() == pytest.approx(needed, rel=1e-2)


def test_noisy_cells_give_an_interval_with_the_truth():
    found = extrapolate(cells(noise=0.02), ["lora.rank"])
    assert found.power.includes(0.6)
    assert found.identified
    assert (abs(found.points["delta_loss_nats"] - list(LEVELS.values())) < 4 * found.points["error"]).all()


def test_a_power_at_its_bound_is_not_identified():
    assert not extrapolate(cells(power=0.01, amplitude=3.0, noise=0.05), ["lora.rank"]).identified


def test_points_that_differ_by_noise_alone_take_no_steps():
    found = extrapolate(cells(amplitude=0.0, noise=1e-3), ["lora.rank"])
    assert (found.points["reached"] > 0.99).all()


@pytest.mark.parametrize("given", [cells(steps=(100, 400)), cells(ranks=(1,))])
def test_too_few_cells_are_refused(given: pd.DataFrame):
    with pytest.raises(TooFewCells):
        extrapolate(given, ["lora.rank"])
