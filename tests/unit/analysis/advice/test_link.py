import numpy as np
import pandas as pd
import pytest
from memlaw_analysis.advice.link import Link, NoAdvice


def cells(*pairs: tuple[float, float]) -> pd.DataFrame:
    """(ΔL/L0, share of recalled tokens) of cells with L0 = 10."""
    table = pd.DataFrame(pairs, columns=["share", "recalled_share"])
    return table.assign(base_loss_nats=10.0, delta_loss_nats=10 * table["share"])


def test_the_link_is_monotone_and_gives_the_smallest_loss_that_is_enough():
    shares = np.linspace(0.1, 1, 25)
    link = Link.of(cells(*zip(shares, shares**3, strict=True)).sample(frac=1, random_state=0))
    assert (np.diff(link.recalled_share) >= 0).all()
    for share in (0.2, 0.5, 0.83):
        assert link.recalled(link.needed(share)) == pytest.approx(share)
    with pytest.raises(NoAdvice, match="no cell of the study recalls"):
        link.needed(1.01)


def test_cells_in_disorder_are_pooled():
    link = Link.of(cells((0.2, 0.0), (0.4, 0.6), (0.6, 0.4), (0.8, 1.0)))
    assert link.recalled_share.tolist() == pytest.approx([0, 0.5, 0.5, 1])
    assert link.needed(0.5) == pytest.approx(0.4)
    assert link.needed(0.0) == pytest.approx(0.2)


def test_cells_without_a_recalled_share_are_left_out():
    link = Link.of(cells((0.2, 0.1), (0.5, np.nan), (0.9, 0.8)))
    assert link.delta_loss_share.tolist() == pytest.approx([0.2, 0.9])
    for table in (cells((0.5, np.nan)), cells((0.5, 1.0)).drop(columns="recalled_share")):
        with pytest.raises(NoAdvice, match="no cell has a share of recalled tokens"):
            Link.of(table)
