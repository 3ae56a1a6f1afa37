from helpers.synthetic import MEASURED, TRUTH, synthetic
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.sensitivity import sensitivity, spread_of


def test_the_measured_case_shows_how_much_the_exponents_depend_on_saturation():
    rows = sensitivity(Fits(MEASURED))
    low, high = spread_of(rows, "alpha")
    assert high > 1.3 * low
    unbounded = rows[(rows["form"] == "power") & (rows["rule"] == "none left out")].iloc[0]
    assert "bound" in unbounded["problem"]


def test_a_clean_law_gives_one_answer_whatever_the_rule():
    low, high = spread_of(sensitivity(Fits(synthetic())).query("form == 'power' and rule != 'none left out'"), "alpha")
    assert TRUTH["alpha"] - 0.1 < low <= high < TRUTH["alpha"] + 0.1
