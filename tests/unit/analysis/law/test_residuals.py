import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import synthetic, table
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.law.forms import FORMS, Inputs, saturating
from memlaw_analysis.law.residuals import diagnose
from memlaw_analysis.law.saturation import NONE


def with_seeds(noise: float, count: int = 8) -> pd.DataFrame:
    return pd.concat([synthetic(noise, seed).assign(seed=seed) for seed in range(count)], ignore_index=True)


def test_noise_is_noise():
    found = diagnose(fit_law(with_seeds(0.1)))
    assert not found.systematic
    assert found.noise_nats == pytest.approx(0.1, rel=0.3)
    assert found.rms_nats == pytest.approx(0.1, rel=0.3)
    assert found.normality_p > 0.01


def test_a_form_that_misses_something_is_found_by_curvature_and_by_lack_of_fit():
    bent = with_seeds(0.02)
    r, l = bent["lora.rank"], bent["target_tokens"]
    curve = saturating(Inputs.grid(r, l, 13.24), C=60, alpha=0.7, beta=0.6, q=2)
    noise = 0.02 * np.random.default_rng(0).standard_normal(len(bent))
    found = diagnose(fit_law(bent.assign(delta_loss_nats=curve + noise), FORMS["power"], NONE))
    assert found.systematic
    assert found.curvature_p < 0.01
    assert found.lack_of_fit_p < 0.01
    assert diagnose(fit_law(bent.assign(delta_loss_nats=curve + noise), FORMS["saturating"])).lack_of_fit_p > 0.01


def test_the_lack_of_fit_test_agrees_with_one_written_by_hand():
    cells = table([(r, l, 0.0) for r in (1, 2, 4) for l in (256, 512, 1024) for _ in range(2)])
    rng = np.random.default_rng(1)
    law = 60 * cells["lora.rank"] ** 0.7 * cells["target_tokens"] ** -0.6 + 0.4
    cells = cells.assign(delta_loss_nats=law + 0.1 * rng.standard_normal(len(cells)))
    fit = fit_law(cells, rule=NONE)
    residual = fit.predict_cells(cells) - cells["delta_loss_nats"]
    means = residual.groupby([cells["lora.rank"], cells["target_tokens"]]).transform("mean")
    pure, lack = ((residual - means) ** 2).sum() / 9, (means**2).sum() / (9 - 4)
    from scipy.stats import f

    found = diagnose(fit)
    assert found.lack_of_fit_p == pytest.approx(f.sf(lack / pure, 5, 9))
    assert found.noise_nats == pytest.approx(np.sqrt(pure))


def test_the_curvature_test_is_calibrated_on_noise():
    p_values = [diagnose(fit_law(synthetic(0.1, seed))).curvature_p for seed in range(60)]
    assert 0.3 < float(np.mean([p < 0.5 for p in p_values])) < 0.7
    assert float(np.mean([p < 0.05 for p in p_values])) < 0.15


def test_without_seeds_there_is_no_noise_to_compare_with():
    found = diagnose(fit_law(synthetic(0.1)))
    assert np.isnan(found.noise_nats)
    assert np.isnan(found.lack_of_fit_p)
    rank, length, share = found.worst_cell
    assert (rank, length) in {(r, l) for r in (1, 2, 4, 8) for l in (128, 256, 512, 1024, 2048)}
    assert abs(share) > 0
