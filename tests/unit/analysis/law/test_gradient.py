import numpy as np
import pytest
from helpers.synthetic import TRUTH, synthetic
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.law.forms import POWER, Inputs
from memlaw_analysis.law.gradient import gradient


def test_gradients_are_those_of_the_formula():
    fit = fit_law(synthetic(), POWER)
    x = Inputs.grid(4, 512, 13.24)
    slopes = dict(zip(fit.result.var_names, gradient(fit, lambda predict: float(predict(x))), strict=True))
    power = 4 ** fit.values["alpha"] * 512 ** -fit.values["beta"]
    assert slopes["C"] == pytest.approx(power, rel=1e-7)
    assert slopes["alpha"] == pytest.approx(fit.values["C"] * power * np.log(4), rel=1e-7)
    assert slopes["beta"] == pytest.approx(-fit.values["C"] * power * np.log(512), rel=1e-7)
    assert slopes["b"] == pytest.approx(1, rel=1e-7)
    assert power == pytest.approx(4 ** TRUTH["alpha"] * 512 ** -TRUTH["beta"], rel=1e-3)


def test_a_quantity_of_several_cells_has_a_row_each():
    fit = fit_law(synthetic(), POWER)
    r, l = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]), np.full(6, 300.0)
    rows = gradient(fit, lambda predict: predict(Inputs.grid(r, l, 13.24)))
    assert rows.shape == (6, 4)
    for row, rank in zip(rows, r, strict=True):
        alone = gradient(fit, lambda predict, rank=rank: float(predict(Inputs.grid(rank, 300, 13.24))))
        np.testing.assert_allclose(row, alone, rtol=1e-7)


def test_where_a_quantity_is_no_number_its_gradient_is_none_either():
    fit = fit_law(synthetic(), POWER)
    assert np.isnan(gradient(fit, lambda predict: np.nan)).all()
    assert (gradient(fit, lambda predict: 1.0) == 0).all()
