import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.rows import write_row
from helpers.synthetic import table
from memlaw_analysis.advice.advice import Advice, Question
from memlaw_analysis.advice.link import Link, NoAdvice
from memlaw_analysis.advice.rank_advice import advise
from memlaw_analysis.law.fits import Fits
from memlaw_analysis.law.forms import Inputs, saturating
from memlaw_analysis.law.inverse import solve

from memlaw.core.files import write_json

SATURATING = {"C": 60.0, "alpha": 0.7, "beta": 0.6, "q": 4.0}


def study() -> pd.DataFrame:
    """Cells of a known saturating law whose recalled share is a known function of ΔL/L0."""
    grid = [(r, l) for r in (1, 2, 4, 8, 16) for l in (64, 128, 256, 512, 1024)]
    r, l = np.array(grid, dtype=float).T
    delta_loss = saturating(Inputs.grid(r, l, 13.24), **SATURATING)
    cells = table([(*point, value) for point, value in zip(grid, delta_loss, strict=True)])
    return cells.assign(
        recalled_share=(cells["delta_loss_nats"] / 13.24) ** 3, trainable_parameters=2112 * cells["lora.rank"]
    )


def ask(cells: pd.DataFrame, extrapolate: bool = False, **question: float) -> Advice:
    return advise(Fits(cells), Question(**question), extrapolate)


def test_the_rank_needed_is_the_laws_own():
    cells = study()
    goal = float(saturating(Inputs.grid(5, 300, 13.24), **SATURATING))
    advice = ask(cells, tokens=300, delta_loss=goal)
    assert advice.value == pytest.approx(5, rel=0.01)
    assert advice.low <= advice.value * 1.001
    assert advice.high >= advice.value * 0.999
    assert advice.recalled_share == pytest.approx((goal / 13.24) ** 3, rel=0.05)
    assert advice.extrapolation == 1


def test_the_longest_text_is_the_inverse_of_the_rank():
    cells = study()
    rank = ask(cells, tokens=400, delta_loss=8).value
    assert ask(cells, rank=rank, delta_loss=8).value == pytest.approx(400, rel=0.01)


def test_an_answer_beyond_the_cells_says_how_far():
    assert ask(study(), True, tokens=10240, delta_loss=8).extrapolation == pytest.approx(10, rel=0.2)
    with pytest.raises(NoAdvice, match="times beyond the measured cells"):
        ask(study(), tokens=10240, delta_loss=8)


def test_a_goal_above_the_base_loss_is_refused():
    with pytest.raises(NoAdvice, match="never reached"):
        ask(study(), tokens=300, delta_loss=13.3)


def test_rank_one_is_enough_where_it_exceeds_the_goal():
    advice = ask(study(), tokens=64, delta_loss=2)
    assert (advice.value, advice.low, advice.high, advice.extrapolation) == (1, 1, 1, 1)


def test_a_goal_in_recall_is_uncertain_with_the_cells():
    noisy = study().assign(recalled_share=lambda rows: rows["recalled_share"] ** np.linspace(0.8, 1.2, len(rows)))
    by_recall = ask(noisy, tokens=300, recall=0.6)
    by_loss = ask(noisy, tokens=300, delta_loss=by_recall.delta_loss)
    assert by_recall.high - by_recall.low > 2 * (by_loss.high - by_loss.low)


def test_the_link_is_monotone_and_gives_the_smallest_loss_that_is_enough():
    cells = study().sample(frac=1, random_state=0)
    link = Link.of(cells)
    assert (np.diff(link.recalled_share) >= 0).all()
    for share in (0.2, 0.5, 0.83):
        assert link.recalled(link.needed(share)) == pytest.approx(share)
    with pytest.raises(NoAdvice, match="no cell of the study recalls"):
        link.needed(1.01)


def test_solving_outside_the_range_has_no_answer():
    assert solve(lambda x: x - 3, 1, 10) == pytest.approx(3)
    assert np.isnan(solve(lambda x: x + 3, 1, 10))


def test_an_answer_does_not_rest_on_cells_that_memorized_nothing():
    cells = study()
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
    advice = ask(study(), tokens=300, delta_loss=8)
    words = str(advice)
    assert f"300 tokens need rank {advice.value:.3g} (95 % interval" in words
    assert f"To be safe take rank {advice.safe_rank}: {2112 * advice.safe_rank:,} parameters" in words
    assert all(f"{rank} × {length}" in words for rank, length in advice.next_cells)
    assert len(advice.next_cells) > 0


def test_a_loss_is_asked_for_without_any_recalled_share():
    unknown = study().assign(recalled_share=np.nan)
    assert np.isnan(ask(unknown, tokens=300, delta_loss=8).recalled_share)
    for cells in (unknown, study().drop(columns="recalled_share")):
        with pytest.raises(NoAdvice, match="no cell has a share of recalled tokens"):
            ask(cells, tokens=300, recall=0.9)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({}, "give tokens"),
        ({"tokens": 3, "rank": 3}, "give tokens"),
        ({"rank": 3, "recall": 0.9, "delta_loss": 8}, "not both"),
        ({"tokens": -1}, "-1 is not a positive number"),
        ({"rank": float("inf")}, "inf is not a positive number"),
        ({"rank": 4, "recall": 1.5}, "1.5 is not a share of tokens"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(question: dict[str, float], message: str):
    with pytest.raises(ValueError, match=message):
        Question(**question)


def test_the_command_line_answers_and_refuses_to_extrapolate(tmp_path: Path):
    for number, row in enumerate(study().to_dict("records")):
        (tmp_path / f"c{number}").mkdir()
        write_row(tmp_path / f"c{number}", **row)
        write_json(tmp_path / f"c{number}/status.json", {"state": "done"})

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "memlaw_analysis.commands.advise", str(tmp_path), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    answer = call("--tokens", "300", "--recall", "0.6")
    assert answer.returncode == 0, answer.stderr
    assert "300 tokens need rank" in answer.stdout
    assert "python -m memlaw.train -m study=" in answer.stdout
    refused = call("--tokens", "100000", "--recall", "0.6")
    assert refused.returncode == 1
    assert "times beyond the measured cells" in refused.stderr
    assert call("--rank", "4", "--delta-loss", "8").returncode == 0
