import numpy as np
import pandas as pd
import pytest
from helpers.experiments import law, rows_of
from helpers.synthetic import synthetic
from memlaw_analysis.experiments.convergence import CONVERGENCE, moved_exponents
from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.experiments.experiment import Stance
from memlaw_analysis.experiments.laws import Law, difference
from memlaw_analysis.experiments.rows import with_later_columns
from memlaw_analysis.experiments.settings import compare_settings, reference, with_setting

GAINS = {0.01: 0.9, 0.02: 1.0, 0.04: 0.97}


@pytest.fixture(scope="module")
def rates() -> pd.DataFrame:
    return with_setting(rows_of(["convergence_rate"], lambda point: law(point) * GAINS[point["optimizer.lr"]], 0.005))


def test_settings_are_named_by_what_varies(rates: pd.DataFrame):
    assert reference(rates) == "betas=[0.9, 0.999], lr=0.02"
    assert rates["setting"].nunique() == 6


def test_settings_are_compared_over_pairs(rates: pd.DataFrame):
    found = {(each.setting, each.steps): each for each in compare_settings(rates)}
    for rate, gain in GAINS.items():
        each = found[f"betas=[0.9, 0.99], lr={rate:g}", 400]
        assert each.ratio is not None
        assert each.ratio.value == pytest.approx(gain, abs=0.02)
        assert each.pairs == 4


def test_pairs_that_are_saturated_or_single_have_no_ratio(rates: pd.DataFrame):
    full = rates.assign(delta_loss_nats=rates["base_loss_nats"])
    assert compare_settings(full) == []
    single = rates[(rates["seed"] == 0) & (rates["lora.rank"] == 1)]
    assert all(each.ratio is None for each in compare_settings(single))


def test_a_setting_that_diverged_has_no_ratio(rates: pd.DataFrame):
    worse = rates["delta_loss_nats"].where(rates["optimizer.lr"] != 0.04, -1.0)
    found = compare_settings(rates.assign(delta_loss_nats=worse))
    assert all(each.ratio is None for each in found if "lr=0.04" in each.setting)


def drawn(name: str, alpha: float, beta: float, noise: float = 0.01) -> Law:
    """A law with known draws."""
    rng = np.random.default_rng(0 if name == "few" else 1)
    draws = pd.DataFrame(
        {"alpha": alpha + noise * rng.standard_normal(200), "beta": beta + noise * rng.standard_normal(200)}
    )
    law = Law.of(name, synthetic(noise=0.05))
    return Law(name, law.fit, draws.assign(**{"alpha/beta": draws["alpha"] / draws["beta"]}), "")


def test_a_law_is_fitted_with_intervals():
    found = Law.of("200 steps", synthetic(noise=0.05))
    assert found.sound
    assert found.exponent("alpha").includes(0.7)
    assert isinstance(difference(found, found, "beta"), Estimate)


def test_too_few_cells_give_no_law():
    found = Law.of("200 steps", synthetic().head(3))
    assert (found.sound, found.fit) == (False, None)
    assert "cells" in found.reason


def test_exponents_move_where_their_draws_part():
    few = drawn("few", 0.7, 0.6)
    assert moved_exponents([few, drawn("many", 0.7, 0.6)]) == []
    assert moved_exponents([few, drawn("many", 0.9, 0.6)]) == ["α", "α/β"]
    assert moved_exponents([few]) is None


def test_held_out_errors_of_few_cells_decide_nothing():
    rows = with_later_columns(rows_of(["convergence"], law))
    few = rows[(rows["steps"] == 200) & (rows["lora.rank"] <= 2)]
    stances = {claim.stance for claim in CONVERGENCE.analyze(few).claims if "held-out cells" in claim.text}
    assert stances == {Stance.OPEN}
