import numpy as np
import pytest
from helpers.synthetic import synthetic, table
from memlaw_analysis.law.collapse import FLAT, KNOTS, fit_collapse
from memlaw_analysis.law.enough import TooFewCells


def on_one_curve(kappa: float) -> object:
    """Cells whose ΔL/L0 is a function of r^κ/ℓ that no form of the law has."""
    grid = [(r, l) for r in (1, 2, 4, 8, 16) for l in (64, 128, 256, 512, 1024, 2048)]
    share = [1 - np.exp(-60 * r**kappa / l) for r, l in grid]
    return table([(r, l, 13.24 * s) for (r, l), s in zip(grid, share, strict=True)])


@pytest.mark.parametrize("kappa", [0.7, 1.2])
def test_kappa_of_an_unknown_curve_is_found(kappa: float):
    cells = on_one_curve(kappa)
    collapse = fit_collapse(cells)
    assert collapse.kappa == pytest.approx(kappa, rel=0.03)
    assert np.abs(collapse.predict_cells(cells) - cells["delta_loss_nats"]).max() < 0.3


def test_the_curve_rises_never_exceeds_the_base_loss_and_ends_as_a_power_law():
    collapse = fit_collapse(synthetic())
    shares = collapse.share(np.geomspace(1e-3, 1e3, 60), np.full(60, 256.0))
    assert (np.diff(shares) >= 0).all()
    assert shares.max() <= 1
    left = np.log(collapse.share(np.array([1e-8, 1e-6, 1e-4]), np.full(3, 256.0)))
    assert left[2] - left[1] == pytest.approx(left[1] - left[0])


def test_too_few_cells_are_refused():
    with pytest.raises(TooFewCells, match=f"the collapse needs {KNOTS + 3} over 2 ranks"):
        fit_collapse(synthetic().head(KNOTS + 2))
    saturated = synthetic().assign(delta_loss_nats=13.2)
    with pytest.raises(TooFewCells, match=f"0 cells below {FLAT:g}·L0"):
        fit_collapse(saturated)
