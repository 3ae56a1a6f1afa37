import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import MEASURED, TRUTH, synthetic
from memlaw_analysis.law.fit import fit_law
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import FORMS, POWER
from memlaw_analysis.law.saturation import NONE, Rule
from memlaw_analysis.law.sensitivity import COMPARED_RULES, sensitivity, spread_of


def test_each_row_is_the_fit_that_it_names():
    rows = sensitivity(Fits(MEASURED))
    rules = {str(rule): rule for rule in COMPARED_RULES if rule.kind != "recalled"}
    assert rows["rule"].tolist() == [*rules, "ΔL ≥ 0.85·L0", "none left out", "none left out"]
    assert rows["form"].tolist() == ["power"] * 6 + ["saturating_no_offset", "saturating"]
    assert rows["loss"].tolist() == ["linear"] * 5 + ["huber"] + ["linear"] * 2
    for row in rows.to_dict("records"):
        fit = fit_law(MEASURED, FORMS[row["form"]], rules[row["rule"]], row["loss"])
        assert row["alpha"] == pytest.approx(fit.values["alpha"])
        assert row["beta_stderr"] == pytest.approx(fit.parameters["beta"][1], nan_ok=True)
        assert (row["cells"], row["problem"]) == (len(fit.used), "; ".join(fit.not_identified))
        assert (row["r_squared"], row["mape"]) == (fit.r_squared, fit.mean_relative_error)


def test_the_rule_on_recalled_tokens_needs_their_share():
    cells = MEASURED.assign(recalled_share=[0.5] * 11 + [1.0] * 5)
    (row,) = sensitivity(Fits(cells)).query("rule == 'share of recalled tokens ≥ 0.9'").to_dict("records")
    assert row["cells"] == 11
    assert row["alpha"] == pytest.approx(fit_law(cells, POWER, Rule("recalled", 0.9)).values["alpha"])


def test_the_measured_case_shows_how_much_the_exponents_depend_on_saturation():
    rows = sensitivity(Fits(MEASURED))
    low, high = spread_of(rows, "alpha")
    assert (low, high) == (pytest.approx(0.69, abs=0.01), pytest.approx(0.99, abs=0.02))
    unbounded = rows[(rows["form"] == "power") & (rows["rule"] == "none left out")].iloc[0]
    assert "bound" in unbounded["problem"]
    assert fit_law(MEASURED, POWER, NONE).not_identified


def test_a_clean_law_gives_one_answer_whatever_the_rule():
    rows = sensitivity(Fits(synthetic())).query("form == 'power' and rule != 'none left out'")
    assert (rows["problem"] == "").all()
    linear = rows.query("loss == 'linear' and rule in ['ΔL ≥ 0.85·L0', 'ΔL ≥ 0.8·L0']")
    for name in ("alpha", "beta"):
        assert linear[name].tolist() == pytest.approx([TRUTH[name]] * len(linear), rel=1e-3)
        low, high = spread_of(rows, name)
        assert high - low < 0.2


def test_rows_without_a_fit_say_why_and_do_not_count_in_the_spread():
    few = synthetic().query("`lora.rank` == 1")
    rows = sensitivity(Fits(few))
    assert set(rows["problem"]) == {"too few cells"}
    spread = spread_of(pd.DataFrame({"alpha": [0.5, 9.0, 0.7, np.nan], "problem": ["", "no", "", ""]}), "alpha")
    assert spread == (0.5, 0.7)
