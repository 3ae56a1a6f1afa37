import numpy as np
import pandas as pd
import pytest
from cells import synthetic

from analysis.law import fit_law
from analysis.rivals import folds, information_criterion, ranked


def test_the_information_criterion_is_aicc_with_the_noise_as_a_parameter():
    fit = fit_law(synthetic(noise=0.1))
    residual = fit.predict_cells(fit.used) - fit.used["delta_loss_nats"]
    n, k = len(fit.used), 5  # C, α, β, b and the variance of the noise
    by_hand = n * np.log((residual**2).sum() / n) + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    assert information_criterion(fit) == pytest.approx(by_hand)
    assert np.isnan(information_criterion(fit_law(synthetic())))


def test_folds_hold_out_every_cell_once_and_keep_seeds_together():
    cells = pd.concat([synthetic(0.1, seed).assign(seed=seed) for seed in range(3)], ignore_index=True)
    parts = folds(cells)
    assert (sum(part.astype(int) for part in parts) == 1).all()
    points = cells[["lora.rank", "target_tokens"]].apply(tuple, axis=1)
    assert all(not set(points[part]) & set(points[~part]) for part in parts)


def test_a_form_does_not_gain_by_failing_on_a_split():
    rivals = pd.DataFrame({"form": ["a", "b"], "easy": [0.1, 0.2], "hard": [np.nan, 0.9]})
    assert ranked(rivals)["error"].tolist() == [0.1, 0.2]
