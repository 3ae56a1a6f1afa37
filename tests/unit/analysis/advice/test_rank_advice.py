import numpy as np
import pandas as pd
import pytest
from helpers.synthetic import table
from memlaw_analysis.advice.advice import Advice, Question
from memlaw_analysis.advice.link import NoAdvice
from memlaw_analysis.advice.rank_advice import advise
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import Inputs, saturating

TRUTH = {"C": 60.0, "alpha": 0.7, "beta": 0.6, "q": 4.0}


def study_cells() -> pd.DataFrame:
    """Cells of a known saturating law whose recalled share is a known function of ΔL/L0."""
    grid = [(r, l) for r in (1, 2, 4, 8, 16) for l in (64, 128, 256, 512, 1024)]
    r, l = np.array(grid, dtype=float).T
    delta_loss = saturating(Inputs.grid(r, l, 13.24), **TRUTH)
    cells = table([(*point, value) for point, value in zip(grid, delta_loss, strict=True)])
    return cells.assign(
        recalled_share=(cells["delta_loss_nats"] / 13.24) ** 3, trainable_parameters=2112 * cells["lora.rank"]
    )


def ask(cells: pd.DataFrame, extrapolate: bool = False, **question: float) -> Advice:
    return advise(Fits(cells), Question(**question), extrapolate)


def test_the_rank_needed_is_the_laws_own():
    cells = study_cells()
    goal = float(saturating(Inputs.grid(5, 300, 13.24), **TRUTH))
    advice = ask(cells, tokens=300, delta_loss=goal)
    assert advice.value == pytest.approx(5, rel=0.01)
    assert advice.low <= advice.value * 1.001
    assert advice.high >= advice.value * 0.999
    assert advice.recalled_share == pytest.approx((goal / 13.24) ** 3, rel=0.05)
    assert advice.extrapolation == 1


def test_the_longest_text_is_the_inverse_of_the_rank():
    cells = study_cells()
    rank = ask(cells, tokens=400, delta_loss=8).value
    assert ask(cells, rank=rank, delta_loss=8).value == pytest.approx(400, rel=0.01)


def test_an_answer_beyond_the_cells_says_how_far():
    assert ask(study_cells(), True, tokens=10240, delta_loss=8).extrapolation == pytest.approx(10, rel=0.2)
    with pytest.raises(NoAdvice, match="times beyond the measured cells"):
        ask(study_cells(), tokens=10240, delta_loss=8)


def test_a_goal_above_the_base_loss_is_refused():
    with pytest.raises(NoAdvice, match="never reached"):
        ask(study_cells(), tokens=300, delta_loss=13.3)


def test_rank_one_is_enough_where_it_exceeds_the_goal():
    advice = ask(study_cells(), tokens=64, delta_loss=2)
    assert (advice.value, advice.low, advice.high, advice.extrapolation) == (1, 1, 1, 1)


def test_a_goal_in_recall_is_uncertain_with_the_cells():
    noisy = study_cells().assign(recalled_share=lambda rows: rows["recalled_share"] ** np.linspace(0.8, 1.2, len(rows)))
    by_recall = ask(noisy, tokens=300, recall=0.6)
    by_loss = ask(noisy, tokens=300, delta_loss=by_recall.delta_loss)
    assert by_recall.high - by_recall.low > 2 * (by_loss.high - by_loss.low)


def test_an_answer_does_not_rest_on_cells_that_memorized_nothing():
    cells = study_cells()
    diverged = cells.iloc[[0]].assign(delta_loss_nats=-40.0, recalled_share=0.0, seed=1)
    sound, with_it = (
        ask(table, tokens=300, recall=0.3) for table in (cells, pd.concat([cells, diverged], ignore_index=True))
    )
    assert (with_it.value, with_it.low, with_it.high) == (sound.value, sound.low, sound.high)
    assert (with_it.cells, sound.cautions) == (len(cells), ())
    assert "ℓ = 64 (ΔL = -40)" in with_it.cautions[0]
    with pytest.raises(NoAdvice, match="nothing was memorized"):
        ask(cells.assign(delta_loss_nats=0.0), tokens=300, delta_loss=1)


def test_an_answer_reads_as_the_command_prints_it():
    advice = ask(study_cells(), tokens=300, delta_loss=8)
    words = str(advice)
    assert f"300 tokens need rank {advice.value:.3g} (95 % interval" in words
    assert f"To be safe take rank {advice.safe_rank}: {2112 * advice.safe_rank:,} parameters" in words
    assert all(f"{rank} × {length}" in words for rank, length in advice.next_cells)
    assert len(advice.next_cells) > 0


def test_a_loss_is_asked_for_without_any_recalled_share():
    unknown = study_cells().assign(recalled_share=np.nan)
    assert np.isnan(ask(unknown, tokens=300, delta_loss=8).recalled_share)
    for cells in (unknown, study_cells().drop(columns="recalled_share")):
        with pytest.raises(NoAdvice, match="no cell has a share of recalled tokens"):
            ask(cells, tokens=300, recall=0.9)


def test_bits_ask_for_as_many_tokens_of_the_study_as_hold_them():
    by_tokens, by_bits = (
        ask(study_cells(), tokens=300, recall=0.6),
        ask(study_cells(), bits=300 * 13.24 / np.log(2), recall=0.6),
    )
    assert (by_bits.value, by_bits.low, by_bits.high) == pytest.approx(
        (by_tokens.value, by_tokens.low, by_tokens.high), rel=1e-6
    )
    assert "5,730 bits (like 300 tokens of the study) need rank" in str(by_bits)
    assert (len(by_tokens.cautions), len(by_bits.cautions)) == (0, 1)


def test_another_adapter_needs_the_same_parameters():
    mine = ask(study_cells(), tokens=900, delta_loss=8)
    other = ask(study_cells(), tokens=900, delta_loss=8, parameters_per_rank=1056)
    assert (other.value, other.low, other.high) == pytest.approx((2 * mine.value, 2 * mine.low, 2 * mine.high))
    assert other.parameters_per_rank == 1056
    assert len(other.cautions) == 1
    assert ask(study_cells(), tokens=300, recall=0.3, parameters_per_rank=21120).value == 1
    of_rank = ask(study_cells(), rank=8, delta_loss=8, parameters_per_rank=1056)
    assert of_rank.value == pytest.approx(ask(study_cells(), rank=4, delta_loss=8).value)
    bits = of_rank.value * 13.24 / np.log(2)
    assert f"That is a memory of {bits:,.0f} bits" in str(of_rank)
    with pytest.raises(NoAdvice, match="how many parameters"):
        ask(study_cells().drop(columns="trainable_parameters"), tokens=300, recall=0.6, parameters_per_rank=9)
