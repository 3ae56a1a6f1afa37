import numpy as np
import pandas as pd
import pytest
from helpers.experiments import rows_of
from memlaw_analysis.experiments.catalogue import PAIRS
from memlaw_analysis.experiments.experiment import Stance
from memlaw_analysis.experiments.pairs import analyze, matched, ranks, ratio, with_bits
from memlaw_analysis.law.enough import TooFewCells


def cells(factor: float = 1.0, noise: float = 0.01) -> pd.DataFrame:
    """Rows of tables, of which so many times the share is stored that is stored of texts of equal bits."""
    rows = rows_of(PAIRS.parts)
    is_table = rows["data.name"] == "phonebook"
    base_loss = np.where(is_table, 3.3, 13.2)
    nats = rows["target_tokens"] * base_loss
    share = np.minimum(400 * rows["lora.rank"] / nats, 0.98) * np.exp(noise * (2 * rows["seed"] - 1))
    share = np.where(is_table, np.minimum(factor * share, 0.999), share)
    return rows.assign(
        pairs=np.where(is_table, rows["target_tokens"] / 10, 1),
        base_loss_nats=base_loss,
        delta_loss_nats=share * base_loss,
        recalled_share=np.where(share > 0.9, 1.0, 0.3),
    )


def test_a_table_stands_beside_the_text_of_its_bits_rank_and_seed():
    found = matched(with_bits(cells()))
    assert len(found) == 18
    assert dict(zip(found["pairs"], found["target_tokens_text"], strict=False)) == {10: 25, 30: 76, 100: 252}
    assert (found["bits"] / found["bits_text"] - 1).abs().max() < 0.02
    longer = cells()
    longer.loc[longer["pairs"] == 1, "target_tokens"] *= 3
    assert set(matched(with_bits(longer))["pairs"]) == {30, 100}


def test_the_ratio_is_that_of_the_stored_shares_where_one_is_unsaturated():
    assert ratio(matched(with_bits(cells(0.5)))).value == pytest.approx(0.5, rel=0.02)
    whole = cells().assign(delta_loss_nats=lambda rows: rows["base_loss_nats"])
    with pytest.raises(TooFewCells):
        ratio(matched(with_bits(whole)))


@pytest.mark.parametrize(
    ("factor", "stance", "words"),
    [
        (0.5, Stance.AGAINST, "stored less than"),
        (1.6, Stance.AGAINST, "stored more than"),
        (1.0, Stance.FOR, "Bits count alike"),
    ],
)
def test_many_pairs_and_one_text_are_told_apart(factor: float, stance: Stance, words: str):
    outcome = analyze(cells(factor))
    claims = [claim for claim in outcome.claims if "100 pairs" in claim.text]
    assert [(claim.stance, words in claim.text) for claim in claims] == [(stance, True)]
    assert outcome.numbers["pairs"][-1] == 100
    assert outcome.figure is not None
    by_rank = outcome.numbers["by_rank"]
    assert by_rank["1"].value == pytest.approx(factor, rel=0.05)


def test_the_rank_that_recalls_counts_in_every_seed():
    rows = cells(0.5)
    found = ranks(matched(with_bits(rows))).set_index("pairs")
    assert found.loc[30, "and the text"] == 4
    assert np.isnan(found.loc[100, "rank that recalls the table"])
    rows.loc[rows["seed"] == 1, "recalled_share"] = 0.3
    assert ranks(matched(with_bits(rows)))["and the text"].isna().all()


def test_without_texts_all_is_open():
    tables = cells()[lambda rows: rows["pairs"] > 1]
    outcome = analyze(tables)
    assert {claim.stance for claim in outcome.claims} == {Stance.OPEN}
    assert outcome.figure is None
