import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import table
from memlaw_analysis.advice.rank_advice import saturating_fit
from memlaw_analysis.advice.translation import BITS, WAYS, errors, predictions, ranks
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import Inputs, saturating

TRUTH = {"C": 60.0, "alpha": 0.7, "beta": 0.6, "q": 4.0}
RANDOM = 13.24


def cells(base_loss: float, tokens_per_token: float, ratio: float) -> pd.DataFrame:
    """Cells of a text of which a token counts as so many random ones."""
    grid = [(r, l) for r in (1, 2, 4, 8, 16) for l in (64, 128, 256, 512, 1024)]
    r, l = np.array(grid, dtype=float).T
    share = saturating(Inputs.grid(r, tokens_per_token * l, RANDOM), **TRUTH) / RANDOM
    made = table([(*point, value * base_loss) for point, value in zip(grid, share, strict=True)], base_loss)
    return made.assign(**{"data.random_ratio": ratio, "recalled_share": share**3, "source_entropy_nats": 10.8})


def test_each_way_is_right_where_its_own_rule_holds():
    fitted = cells(RANDOM, 1.0, ratio=1.0)
    fit = saturating_fit(Fits(fitted))
    by_bits = errors(predictions(fit, fitted, cells(6.62, 6.62 / RANDOM, ratio=0.0)))
    assert by_bits.loc[BITS, "worst"] < 1e-3
    assert (by_bits["mean"].drop(BITS) > 0.03).all()
    by_tokens = errors(predictions(fit, fitted, cells(6.62, 1.0, ratio=0.0)))
    assert by_tokens.loc["tokens, as a share", "worst"] < 1e-3
    assert by_tokens.loc[BITS, "mean"] > 0.05
    assert [*by_bits.index] == [*WAYS]


def test_cells_in_which_every_way_sees_all_stored_tell_nothing():
    fitted = cells(RANDOM, 1.0, ratio=1.0)
    others = cells(6.62, 6.62 / RANDOM, ratio=0.0)
    predicted = predictions(saturating_fit(Fits(fitted)), fitted, others)
    largest = predicted[(predicted["lora.rank"] == 16) & (predicted["target_tokens"] == 64)]
    assert not largest["telling"].any()
    assert predicted["telling"].any()


def test_the_rank_by_bits_lies_between_those_that_fail_and_recall():
    fitted = cells(RANDOM, 1.0, ratio=1.0)
    found = ranks(saturating_fit(Fits(fitted)), fitted, cells(6.62, 0.5, ratio=0.0), recall=0.9)
    known = found[found["fails"].notna() & found["recalls"].notna()]
    assert len(known) > 1
    assert known["by bits"].between(known["fails"] - 1e-6, known["recalls"] + 1e-6).all()
    assert (known["by tokens"] > known["by bits"]).all()
    assert found["bits"].iloc[0] == pytest.approx(64 * 6.62 / np.log(2))
