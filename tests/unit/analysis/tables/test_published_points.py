"""The paper's own points, digitised, and the figures that other fits of them gave."""

import pytest
from helpers.published import POINTS, WITHOUT_FIRST
from memlaw_analysis.law.collapse import fit_collapse
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import FORMS, POWER
from memlaw_analysis.law.residuals import diagnose
from memlaw_analysis.law.rivals import compare_forms, held_out_error
from memlaw_analysis.law.saturation import NONE, Rule


@pytest.mark.parametrize(
    ("cells", "form", "rule", "r_squared", "expected"),
    [
        (POINTS, "power", NONE, 0.9958, {"C": 238.3, "alpha": 0.660, "beta": 0.561, "b": -0.38}),
        (WITHOUT_FIRST, "power", NONE, 0.9958, {"alpha": 0.658, "beta": 0.555, "b": -0.39}),
        (POINTS, "power", Rule("delta_loss", 0.8), 0.9990, {"alpha": 0.833, "beta": 0.714, "b": 0.47}),
        (WITHOUT_FIRST, "saturating_no_offset", NONE, 0.9989, {"alpha": 0.754, "beta": 0.642}),
        (WITHOUT_FIRST, "saturating", NONE, 0.9994, {"alpha": 0.886, "beta": 0.755, "b": 0.62}),
    ],
)
def test_the_forms_give_the_known_parameters(cells, form, rule, r_squared, expected):
    fit = fit_law(cells, FORMS[form], rule)
    assert fit.r_squared == pytest.approx(r_squared, abs=6e-5)
    for name, value in expected.items():
        assert fit.parameters[name][0] == pytest.approx(
            value, abs=0.06 if name == "C" else 0.01 if name == "b" else 0.0011
        )
    assert fit.exponent_ratio == pytest.approx(1.177, abs=0.012)
    assert fit.not_identified == ()
    if form == "saturating":
        assert fit.parameters["q"][0] == pytest.approx(6.4, abs=0.05)  # ln q = 1.85


@pytest.mark.parametrize(
    ("form", "errors"),
    [("power", (6.3, 2.1, 22.5)), ("saturating_no_offset", (3.2, 0.7, 10.3)), ("saturating", (1.3, 0.6, 2.4))],
)
def test_unseen_points_are_predicted_as_well_as_known(form, errors):
    cells = WITHOUT_FIRST
    splits = (cells["seq_len"] >= 6000, cells["lora.rank"] >= 12, cells["lora.rank"] == 1)
    everything = cells["seq_len"] > 0
    found = [
        100 * held_out_error(cells, split, lambda rest: fit_law(rest, FORMS[form], NONE), everything)
        for split in splits
    ]
    assert found == pytest.approx(errors, abs=0.06)


def test_the_paper_s_own_fit_leaves_systematic_residuals():
    assert diagnose(fit_law(POINTS, POWER, NONE)).curvature_p < 1e-6
    assert diagnose(fit_law(WITHOUT_FIRST, FORMS["saturating"])).curvature_p > 1e-3


def test_54_points_lie_below_four_fifths():
    assert len(fit_law(POINTS, POWER, Rule("delta_loss", 0.8)).used) == 54


def test_all_points_collapse_onto_one_curve():
    collapse = fit_collapse(POINTS)
    assert collapse.kappa == pytest.approx(1.17, abs=0.02)
    error = collapse.predict_cells(POINTS) / POINTS["delta_loss_nats"] - 1
    assert error.abs().max() < 0.06


def test_the_saturating_form_wins_on_unseen_points():
    rows = compare_forms(Fits(WITHOUT_FIRST)).set_index("form")
    splits = [name for name in rows if name.startswith(("ℓ", "r ", "both", "5-fold"))]
    assert len(splits) == 5
    assert rows[splits].mean(axis=1).idxmin() == "saturating"
