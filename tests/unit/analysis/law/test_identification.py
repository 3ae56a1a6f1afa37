import lmfit
import numpy as np
from memlaw_analysis.law.identification import fit_cautions, identification_problems


def fitted(residual, **parameters: dict[str, object]) -> object:
    start = lmfit.Parameters()
    for name, settings in parameters.items():
        start.add(name, **settings)
    return lmfit.Minimizer(residual, start).minimize()


X = np.linspace(1, 2, 12)
NOISE = 0.01 * np.random.default_rng(0).standard_normal(12)


def line(p: lmfit.Parameters) -> np.ndarray:
    return p["alpha"] + p["beta"] * X - (1 + 2 * X + NOISE)


def test_a_line_is_identified():
    assert identification_problems(fitted(line, alpha={"value": 0}, beta={"value": 0})) == ()


def test_a_parameter_at_its_bound_is_named():
    problems = identification_problems(fitted(line, alpha={"value": 0}, beta={"value": 0, "max": 1.5}))
    assert "beta ran to its bound 1.5" in problems


def test_parameters_that_only_act_together_cannot_be_told_apart():
    def product(p: lmfit.Parameters) -> np.ndarray:
        return (p["alpha"] + p["beta"] * (1 + 1e-7 * X)) - (3 + NOISE)

    problems = identification_problems(fitted(product, alpha={"value": 1}, beta={"value": 1}))
    assert any("cannot be told apart" in text or "no standard errors" in text for text in problems)


def test_an_exponent_within_its_own_error_is_uncertain():
    def flat(p: lmfit.Parameters) -> np.ndarray:
        return p["alpha"] + p["beta"] * X - (1 + NOISE)

    problems = identification_problems(fitted(flat, alpha={"value": 0}, beta={"value": 0}))
    assert problems == ("beta is uncertain by more than half of itself",)


def test_few_cells_and_a_held_offset_are_cautions():
    result = fitted(line, alpha={"value": 0}, beta={"value": 0}, b={"value": 0, "vary": False})
    assert fit_cautions(result, 12) == ("b is held at 0: 12 cells are too few to determine an offset",)
    assert "2 degree(s) of freedom" in fit_cautions(result, 4)[1]
