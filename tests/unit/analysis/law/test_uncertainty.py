import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import MEASURED, TRUTH, synthetic
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.law.forms import POWER
from memlaw_analysis.law.saturation import Rule
from memlaw_analysis.law.uncertainty import bootstrap, bootstrap_intervals, profile_intervals, resamples


def test_profile_intervals_hold_the_value_and_widen_with_the_noise():
    little, much = (profile_intervals(fit_law(synthetic(noise))) for noise in (0.05, 0.2))
    for name in TRUTH:
        assert little[name][0] < fit_law(synthetic(0.05)).parameters[name][0] < little[name][1]
    assert np.ptp(much["alpha"]) > 2 * np.ptp(little["alpha"])


def test_a_fit_that_is_not_identified_has_no_profile():
    assert profile_intervals(fit_law(MEASURED, POWER, Rule("delta_loss", 0.98))) == {}


def test_resampling_draws_grid_points_and_then_seeds():
    seeds = pd.concat([synthetic().assign(seed=seed) for seed in range(3)], ignore_index=True)
    drawn = next(resamples(seeds, 1))
    per_point = drawn.groupby(["lora.rank", "target_tokens"]).size()
    assert len(drawn) == len(seeds)
    assert (per_point % 3 == 0).all()
    assert len(per_point) < 20


def test_the_bootstrap_surrounds_the_fit():
    fit = fit_law(synthetic(noise=0.1))
    found = bootstrap_intervals(bootstrap(fit, draws=60), wanted=60)
    for name in ("alpha", "beta"):
        assert found[name][0] < fit.parameters[name][0] < found[name][1]
    assert found["alpha/beta"][0] < TRUTH["alpha"] / TRUTH["beta"] < found["alpha/beta"][1]


@pytest.mark.slow
def test_intervals_cover_the_truth_as_often_as_they_say():
    repeats = 300
    hits = dict.fromkeys(("alpha", "beta", "b"), 0)
    for seed in range(repeats):
        intervals = profile_intervals(fit_law(synthetic(0.1, seed)))
        for name in hits:
            hits[name] += intervals[name][0] <= TRUTH[name] <= intervals[name][1]
    for name, count in hits.items():
        assert 0.90 <= count / repeats <= 0.98, name
