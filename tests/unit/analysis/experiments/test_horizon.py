import math

import pandas as pd
import pytest
from helpers.experiments import BASE_LOSS, rows_of
from memlaw_analysis.experiments.brackets import RECALLED, brackets, closed
from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.experiments.experiment import Stance
from memlaw_analysis.experiments.horizon import analyze, horizons, slope_claim
from memlaw_analysis.experiments.rows import with_later_columns


def recalled(cells: dict[int, float | None]) -> pd.DataFrame:
    rows = [(1, 0, length, share, BASE_LOSS, 2112) for length, share in cells.items()]
    names = ["lora.rank", "seed", "target_tokens", RECALLED, "base_loss_nats", "trainable_parameters"]
    return pd.DataFrame(rows, columns=names)


@pytest.mark.parametrize(
    ("cells", "low", "high", "orderly"),
    [
        ({20: 1, 25: 1, 32: 0, 40: 0}, 25, 32, True),
        ({20: 1, 25: 0, 32: 1, 40: 0}, 25, 32, False),
        ({20: 0, 25: 1}, 20, 25, False),
        ({20: 0, 25: 0}, 0, 20, True),
        ({20: 1, 25: 1}, 25, math.inf, True),
        ({20: 1, 25: None, 32: 0}, 20, 32, True),
    ],
)
def test_the_horizon_lies_between_recalled_and_not_recalled_texts(cells, low, high, orderly):
    (found,) = brackets(recalled(cells)).to_dict("records")
    assert (found["low"], found["high"], found["orderly"]) == (low, high, orderly)


def test_without_a_measured_recall_there_is_no_bracket():
    assert brackets(recalled({20: None})).empty


def world(kappa: float):
    def gain(point) -> float:
        horizon = 38 * point["lora.rank"] ** kappa * (1 + 0.04 * (point["seed"] - 1))
        return BASE_LOSS if point["seq_len"] <= horizon else 0.8 * BASE_LOSS

    return gain


@pytest.mark.parametrize(
    ("slope", "stance", "words"),
    [
        (Estimate(1.21, 1.1, 1.3), Stance.FOR, "follows"),
        (Estimate(1.27, 1.2, 1.3), Stance.FOR, "includes 1.26 (α/β of our study) and excludes 1.17"),
        (Estimate(1.15, 1.1, 1.2), Stance.AGAINST, "includes 1.17 (of the paper's points) and excludes 1.26"),
        (Estimate(1.0, 0.9, 1.1), Stance.AGAINST, "more slowly"),
        (Estimate(1.4, 1.3, 1.5), Stance.AGAINST, "otherwise"),
        (Estimate(1.2, -3.0, math.inf), Stance.OPEN, "is open"),
        (Estimate(1.2, 0.9, 1.5), Stance.OPEN, "is open"),
    ],
)
def test_the_slope_is_held_against_both_ratios(slope: Estimate, stance: Stance, words: str):
    claim = slope_claim(slope, "r = 1 to 16")
    assert (claim.stance, words in claim.text) == (stance, True)


def test_the_slope_of_the_horizon_is_found():
    outcome = analyze(with_later_columns(rows_of(["horizon"], world(1.1), noise=0)))
    assert outcome.numbers["slope"].value == pytest.approx(1.1, abs=0.08)


def test_bits_per_parameter_are_those_of_the_whole_text():
    table = horizons(brackets(recalled({20: 1, 25: 0})))
    length = math.sqrt(20 * 25)
    assert table["length"].iloc[0] == pytest.approx(length)
    assert table["bits"].iloc[0] == pytest.approx(length * BASE_LOSS / math.log(2) / 2112)


def test_two_ranks_leave_the_slope_open():
    rows = with_later_columns(rows_of(["horizon"], world(1.2), noise=0))
    outcome = analyze(rows[rows["lora.rank"] <= 2])
    assert outcome.numbers["slope"] is None
    assert outcome.claims[0].stance is Stance.OPEN


def test_where_the_entropy_is_known_a_recalled_token_holds_its_entropy():
    rows = with_later_columns(rows_of(["horizon"], world(1.2), noise=0).assign(source_entropy_nats=8.0))
    known, plain = (analyze(cells).tables["horizons"] for cells in (rows, rows.assign(source_entropy_nats=math.nan)))
    ratio = known["bits per parameter"] / plain["bits per parameter"]
    assert ratio.dropna().to_numpy() == pytest.approx(8.0 / BASE_LOSS)


def test_open_brackets_have_one_end():
    found = brackets(recalled({20: 1}))
    assert not closed(found).any()
