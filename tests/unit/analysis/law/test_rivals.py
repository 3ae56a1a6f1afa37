import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import synthetic, with_source
from memlaw_analysis.law.collapse import fit_collapse
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import FORMS, Inputs
from memlaw_analysis.law.rivals import (
    compare_forms,
    folds,
    held_out_error,
    information_criterion,
    ranked,
    scored_cells,
    splits_of,
)


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


def test_forms_in_information_compete_where_the_entropy_of_the_source_is_known():
    cells = with_source(synthetic())
    stored = FORMS["information"].function(Inputs.of(cells), C=600.0, alpha=1.3, q=3.0)
    rows = ranked(compare_forms(Fits(cells.assign(delta_loss_nats=stored))))
    assert {"information", "information_free"} <= set(rows["form"])
    assert rows["form"].iloc[0].startswith("information")
    assert rows["error"].iloc[0] < 1e-3


def test_every_form_has_its_quality_on_the_cells_fitted_and_its_errors_on_unseen_ones():
    cells = synthetic(noise=0.1).assign(trainable_parameters=lambda rows: 2112 * rows["lora.rank"])
    rows = compare_forms(Fits(cells)).set_index("form")
    known = {name for name, form in FORMS.items() if form.needs in (None, "trainable_parameters")}
    assert set(rows.index) == known | {"collapse"}
    fit = fit_law(cells)
    assert rows.loc["power", "mape"] == pytest.approx(fit.mean_relative_error)
    assert rows.loc["power", "r_squared"] == pytest.approx(fit.r_squared)
    collapse = fit_collapse(cells)
    error = np.abs(collapse.predict_cells(cells) / cells["delta_loss_nats"] - 1).mean()
    assert rows.loc["collapse", "mape"] == pytest.approx(error)
    splits = splits_of(rows.reset_index())
    assert [name.partition(" (")[0] for name in splits] == ["ℓ ≥ 2048", "r ≥ 8", "both", "r = 1", "5-fold"]
    longest = cells["target_tokens"] == 2048
    unseen = held_out_error(cells, longest, lambda rest: fit_law(rest, like=fit), scored_cells(cells))
    assert rows.loc["power", splits[0]] == pytest.approx(unseen)
