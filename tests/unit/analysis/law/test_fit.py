import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import MEASURED, TRUTH, synthetic, table, with_source
from hypothesis import given
from hypothesis import strategies as st
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fit import MIN_CELLS_OFFSET, fit_law
from memlaw_analysis.law.forms import FORMS, POWER, Inputs, information, power, saturating
from memlaw_analysis.law.saturation import DEFAULT, NONE, Rule


def parameter(fit, name: str) -> float:
    return fit.parameters[name][0]


def test_a_known_law_is_recovered_without_noise():
    fit = fit_law(synthetic())
    for name, value in TRUTH.items():
        assert parameter(fit, name) == pytest.approx(value, rel=0.01)
    assert fit.r_squared == pytest.approx(1)
    assert fit.r_squared_log == pytest.approx(1)
    assert fit.not_identified == ()


@pytest.mark.parametrize("name", [name for name in FORMS if name != "log_linear"])
def test_every_form_is_recovered_from_its_own_cells(name: str):
    form = FORMS[name]
    truth = {"C": 60.0, "alpha": 0.7, "beta": 0.6, "gamma": 0.02, "q": 3.0, "b": 0.4}
    truth = {key: value for key, value in truth.items() if key in form.bounds}
    cells = with_source(synthetic()).assign(trainable_parameters=lambda rows: 2112 * rows["lora.rank"])
    if form.needs == "base_parameters":
        cells = pd.concat([cells.assign(base_parameters=size) for size in (1e8, 4e8)], ignore_index=True)
    if form.needs == "trainable_parameters":
        truth["C"] = 0.3
    cells = cells.assign(delta_loss_nats=form.function(Inputs.of(cells), **truth))
    fit = fit_law(cells, form, NONE)
    np.testing.assert_allclose(fit.predict_cells(cells), cells["delta_loss_nats"], rtol=1e-3)
    for key, value in truth.items():
        assert parameter(fit, key) == pytest.approx(value, rel=0.01)


@given(st.floats(0.1, 100), st.floats(0.2, 20), st.floats(1, 20))
def test_the_saturating_form_lies_below_the_law_and_below_the_base_loss(C, q, base_loss):
    r, l = np.array([1.0, 4.0, 64.0]), np.array([2000.0, 300.0, 50.0])
    law, bent = (
        f(Inputs.grid(r, l, base_loss), C=C, alpha=0.7, beta=0.6, **more)
        for f, more in ((power, {}), (saturating, {"q": q}))
    )
    assert (bent <= base_loss * (1 + 1e-12)).all()
    assert (bent <= law * (1 + 1e-9)).all()


@given(st.floats(0.1, 1e4), st.floats(0.3, 2), st.floats(0.5, 20), st.floats(1, 12), st.floats(-1, 4))
def test_the_form_in_information_never_stores_more_than_the_target_has_nor_than_rank_holds(C, alpha, q, H, excess):
    r, l = np.array([1.0, 4.0, 64.0]), np.array([2000.0, 300.0, 50.0])
    base_loss = np.full(3, H + excess)
    delta_loss = information(Inputs(r, l, base_loss, source_entropy=np.full(3, H)), C=C, alpha=alpha, q=q)
    stored = l * (H - (base_loss - delta_loss))
    tiny = 1e-9 * l * base_loss
    assert (stored <= l * H + tiny).all()
    assert (stored <= C * r**alpha + tiny).all()
    assert (stored >= 2 ** (-1 / q) * np.minimum(l * H, C * r**alpha) - tiny).all()


def test_stored_information_that_depends_on_the_rank_alone_has_beta_one():
    cells = with_source(synthetic())
    cells = cells.assign(delta_loss_nats=FORMS["information"].function(Inputs.of(cells), C=600.0, alpha=1.3, q=3.0))
    fixed, free = (fit_law(cells, FORMS[name]) for name in ("information", "information_free"))
    assert len(fixed.used) == len(cells)  # saturated ones too
    assert fixed.values == pytest.approx({"C": 600, "alpha": 1.3, "q": 3}, rel=1e-3)
    assert free.values == pytest.approx({"C": 600, "alpha": 1.3, "beta": 1, "q": 3}, rel=1e-3)
    assert fixed.exponent_ratio == pytest.approx(1.3, rel=1e-3)
    assert free.exponent_ratio == pytest.approx(1.3, rel=1e-3)


@pytest.mark.parametrize("entropy", [np.nan, [10.8] * 19 + [np.nan]])
def test_forms_in_information_need_the_entropy_of_every_source(entropy):
    cells = synthetic()
    for name in ("information", "information_free"):
        assert FORMS[name].can_describe(with_source(cells))
        assert not FORMS[name].can_describe(cells)
        assert not FORMS[name].can_describe(cells.assign(source_entropy_nats=entropy))


def test_a_known_law_is_within_its_errors_with_noise():
    fit = fit_law(synthetic(noise=0.1))
    for name in ("alpha", "beta"):
        value, stderr = fit.parameters[name]
        assert stderr is not None
        assert abs(value - TRUTH[name]) < 3 * stderr


def test_saturated_cells_are_left_out_and_counted():
    cells = synthetic()
    saturated = int(DEFAULT.excludes(cells).sum())
    assert saturated > 0
    fit = fit_law(cells)
    assert (len(fit.used), len(fit.excluded)) == (len(cells) - saturated, saturated)


def test_rules_leave_out_what_they_say():
    cells = MEASURED.assign(recalled_share=[0.5] * 11 + [1.0] * 5)
    assert int(Rule("recalled", 0.99).excludes(cells).sum()) == 5
    assert int(Rule("delta_loss", 0.98).excludes(cells).sum()) == 5
    assert not NONE.excludes(cells).any()
    assert str(Rule("delta_loss", 0.98)) == "ΔL ≥ 0.98·L0"


@pytest.mark.parametrize(
    ("rule", "cells", "expected", "errors", "r_squared"),
    [
        (
            Rule("delta_loss", 0.85),
            7,
            {"alpha": 0.99, "beta": 0.74, "b": 1.9},
            {"alpha": 0.20, "beta": 0.14, "b": 0.9},
            0.996,
        ),
        (Rule("delta_loss", 12.5 / 13.24), 9, {"alpha": 0.39}, {"alpha": 0.24}, 0.977),
    ],
)
def test_the_measured_cells_give_the_figures_of_an_independent_fit(rule, cells, expected, errors, r_squared):
    fit = fit_law(MEASURED, POWER, rule)
    assert len(fit.used) == cells
    for name, value in expected.items():
        assert parameter(fit, name) == pytest.approx(value, abs=0.06 if name == "b" else 0.01)
        assert fit.parameters[name][1] == pytest.approx(errors[name], rel=0.1)
    assert fit.r_squared == pytest.approx(r_squared, abs=5e-4)


def test_the_measured_cells_fit_a_saturating_form_with_none_left_out():
    fit = fit_law(MEASURED, FORMS["saturating_no_offset"])
    assert len(fit.used) == 16
    for name, value, error in (("alpha", 0.69, 0.07), ("beta", 0.54, 0.05)):
        assert parameter(fit, name) == pytest.approx(value, abs=0.01)
        assert fit.parameters[name][1] == pytest.approx(error, abs=0.01)
    assert fit.parameters["q"][0] == pytest.approx(7.4, abs=0.2)
    assert fit.r_squared == pytest.approx(0.990, abs=1e-3)


def test_the_fit_that_runs_away_is_flagged():
    fit = fit_law(MEASURED, POWER, Rule("delta_loss", 0.98))
    assert len(fit.used) == 11
    assert any(problem.startswith("b ran to its bound") for problem in fit.not_identified)


def test_nine_of_the_measured_cells_do_not_identify_the_exponent_whatever_r_squared_says():
    fit = fit_law(MEASURED, POWER, Rule("delta_loss", 12.5 / 13.24))
    assert fit.r_squared > 0.97
    assert "alpha is uncertain by more than half of itself" in fit.not_identified


def test_a_fit_like_another_starts_there_and_holds_what_that_holds():
    fit = fit_law(synthetic(noise=0.1))
    again = fit_law(synthetic(noise=0.1, seed=1).iloc[[0, 4, 5, 8, 9]], like=fit)
    assert "b" in again.result.var_names  # though five cells by themselves would hold it
    few = fit_law(synthetic().iloc[[0, 4, 5, 8, 9]])
    assert few.parameters["b"] == (0.0, None)
    assert fit_law(synthetic(noise=0.1), like=few).parameters["b"] == (0.0, None)


def test_repeated_cells_are_no_more_cells_and_a_fit_through_them_is_no_crash():
    two = synthetic().iloc[[2, 8]]
    with pytest.raises(TooFewCells):
        fit_law(pd.concat([two] * 5))
    exact = fit_law(pd.concat([synthetic().iloc[[0, 4, 5, 8]]] * 3))
    assert exact.r_squared == pytest.approx(1, abs=0.05)


def test_robust_fitting_forgives_an_outlier():
    cells = synthetic()
    cells.loc[cells.index[-1], "delta_loss_nats"] += 2
    plain, robust = (
        abs(parameter(fit_law(cells, loss=loss), "alpha") - TRUTH["alpha"]) for loss in ("linear", "huber")
    )
    assert robust < plain / 3


def test_few_cells_hold_the_offset_at_zero_and_say_so():
    r, l = np.array([(1, 64), (1, 256), (1, 1024), (4, 1024)], dtype=float).T
    fit = fit_law(table(list(zip(r, l, power(Inputs.grid(r, l, 13.24), 50, 0.5, 0.4), strict=True))))
    assert fit.parameters["b"] == (0.0, None)
    assert parameter(fit, "alpha") == pytest.approx(0.5, rel=1e-3)
    assert any("b is held at 0" in caution for caution in fit.cautions)
    assert any("1 degree(s) of freedom" in caution for caution in fit.cautions)


@pytest.mark.parametrize(
    "cells",
    [
        [(1, 64, 2.0), (2, 64, 3.0), (4, 128, 3.0)],
        [(1, length, 2.0) for length in range(64, 64 + MIN_CELLS_OFFSET)],
        [(rank, 64, 2.0) for rank in range(1, 1 + MIN_CELLS_OFFSET)],
        [(rank, length, 13.2) for rank in (1, 2, 4) for length in (64, 128)],
    ],
)
def test_too_few_cells_say_what_is_missing_instead_of_a_fit(cells):
    with pytest.raises(TooFewCells, match="Add longer lengths or smaller ranks"):
        fit_law(table(cells))


def test_another_start_gives_the_same_fit():
    cells = synthetic(noise=0.2)
    shuffled = cells.sample(frac=1, random_state=1)
    one, other = fit_law(cells), fit_law(pd.DataFrame(shuffled))
    for name in TRUTH:
        assert parameter(one, name) == pytest.approx(parameter(other, name), rel=1e-3)


def test_a_fit_reads_as_what_it_found_and_what_limits_it():
    sure, unsure = fit_law(synthetic(noise=0.1)), fit_law(MEASURED, POWER, Rule("delta_loss", 0.98))
    assert f"  alpha    {sure.values['alpha']:.4g} ± {sure.parameters['alpha'][1]:.2g}\n" in sure.summary
    assert f"{len(sure.used)} cells; {len(sure.excluded)} left out (ΔL ≥ 0.85·L0)" in sure.summary
    assert "not identified" not in sure.summary + repr(sure)
    assert f"  not identified: {unsure.not_identified[0]}" in unsure.summary
    assert repr(unsure).endswith(", not identified)")


def test_the_mean_relative_error_is_that_of_the_cells_used():
    fit = fit_law(synthetic(noise=0.1))
    errors = [abs(p / t - 1) for p, t in zip(fit.predict_cells(fit.used), fit.used["delta_loss_nats"], strict=True)]
    assert fit.mean_relative_error == pytest.approx(sum(errors) / len(errors))
