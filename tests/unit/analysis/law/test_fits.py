"""Each fit of a report is made once."""

from collections import Counter

import lmfit
import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import synthetic, table
from memlaw_analysis import findings
from memlaw_analysis.findings import find
from memlaw_analysis.law import uncertainty
from memlaw_analysis.law.enough import TooFewCells
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import FORMS, POWER, Inputs, saturating
from memlaw_analysis.law.saturation import DEFAULT, NONE


def of_every_saturation() -> pd.DataFrame:
    """Cells so dense that every rule for saturation leaves out others."""
    r, l = (axis.ravel() for axis in np.meshgrid([1.0, 2.0, 4.0, 8.0], np.round(np.geomspace(64, 2048, 16))))
    share = saturating(Inputs.grid(r, l, 13.24), 60.0, 0.7, 0.6, 4.0) / 13.24
    share += 0.005 * np.random.default_rng(0).standard_normal(len(r))
    cells = table(list(zip(r, l, 13.24 * share, strict=True)))
    return cells.assign(recalled_share=l / l.max(), trainable_parameters=2112 * r)


def test_a_fit_is_made_when_asked_for_and_kept():
    fits = Fits(synthetic())
    assert fits.law() is fits.law(POWER, DEFAULT)
    assert fits.law() is not fits.law(POWER, NONE)
    assert fits.law() is not fits.law(loss="huber")
    assert fits.law(FORMS["saturating"]) is fits.law(FORMS["saturating"], NONE)
    assert fits.collapse is fits.collapse


def test_where_no_cell_is_usable_every_fit_says_why():
    fits = Fits(synthetic().assign(delta_loss_nats=0.0))
    for make in (fits.law, lambda: fits.collapse, lambda: fits.capacity):
        with pytest.raises(TooFewCells, match="nothing was memorized"):
            make()


def test_a_report_minimizes_nothing_twice(monkeypatch):
    minimized: Counter[tuple[object, ...]] = Counter()
    minimize = lmfit.Minimizer.minimize

    def counted(self: lmfit.Minimizer, **method: object):
        start = tuple((name, p.value, p.vary, p.min, p.max) for name, p in self.params.items())
        minimized[self.userfcn(self.params).tobytes(), start, tuple(method.items())] += 1
        return minimize(self, **method)

    monkeypatch.setattr(lmfit.Minimizer, "minimize", counted)
    monkeypatch.setattr(findings, "bootstrap", lambda fit: uncertainty.bootstrap(fit, draws=0))
    found = find(of_every_saturation(), "", "", None)
    assert found.law
    assert found.collapse
    assert found.capacity
    assert len(minimized) > 50
    assert set(minimized.values()) == {1}
