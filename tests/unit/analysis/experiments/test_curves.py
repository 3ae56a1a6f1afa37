import pytest
from helpers.experiments import BASE_LOSS, rows_of
from memlaw_analysis.experiments.curves import Curve, curves, stored
from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.experiments.experiment import Stance
from memlaw_analysis.experiments.length import LENGTH, analyze
from memlaw_analysis.experiments.rows import with_later_columns


def constant(point) -> float:
    """An adapter that stores 1500 nats per rank, whatever the length."""
    return min(1500 * point["lora.rank"] / point["seq_len"], BASE_LOSS)


def power(point) -> float:
    return min(50 * point["lora.rank"] * point["seq_len"] ** -0.7, BASE_LOSS)


@pytest.mark.parametrize(
    ("slope", "verdict"),
    [
        (Estimate(0.02, -0.05, 0.09), "levels off"),
        (Estimate(0.3, 0.25, 0.35), "grows"),
        (Estimate(0.1, 0.05, 0.15), "levels off"),
        (Estimate(0.1, 0.01, 0.19), "open"),
        (Estimate(0.2, -0.05, 0.45), "open"),
        (Estimate(0.1, -0.05, 0.25), "open"),
        (Estimate(-0.3, -0.4, -0.2), "falls"),
        (Estimate(-0.2, -0.3, -0.1), "open"),
        (None, "open"),
    ],
)
def test_the_slopes_interval_decides(slope: Estimate | None, verdict: str):
    assert Curve("base", 1, 200, None, None, slope).verdict == verdict


def test_stored_nats_are_length_times_gain_and_are_divided_by_each_count():
    rows = with_later_columns(rows_of(LENGTH.parts, constant, noise=0.0).assign(effective_parameters=1000))
    cells = stored(rows, "base")
    cell = cells[(cells["lora.rank"] == 2) & (cells["target_tokens"] == 4096)].iloc[0]
    assert cell["nats"] == pytest.approx(3000)
    assert cell["nats_per_parameter"] == pytest.approx(3000 / 4224)
    assert cell["nats_per_effective"] == pytest.approx(3.0)


def test_saturated_cells_are_in_no_curve_and_nearly_saturated_ones_in_no_slope():
    rows = with_later_columns(rows_of(LENGTH.parts, constant, noise=0.0))
    for curve in curves(rows, "base"):
        assert (curve.cells["delta_loss_nats"] < 0.85 * BASE_LOSS).all()
        assert (curve.tail["delta_loss_nats"] < 0.5 * BASE_LOSS).all()
        assert len(curve.tail) <= 4


@pytest.mark.parametrize(("world", "verdict"), [(constant, "levels off"), (power, "grows")])
def test_the_page_tells_a_constant_from_the_law(world, verdict: str):
    outcome = analyze(with_later_columns(rows_of(LENGTH.parts, world)))
    assert {each["verdict"] for each in outcome.numbers["longest"].values()} == {verdict}
    stances = {claim.stance for claim in outcome.claims if verdict in claim.text}
    assert stances == {Stance.AGAINST if verdict == "levels off" else Stance.FOR}


def test_a_gain_by_more_steps_is_against_convergence():
    outcome = analyze(
        with_later_columns(rows_of(LENGTH.parts, lambda point: power(point) * point["steps"] ** 0.1, noise=0))
    )
    gain = 5**0.1 - 1
    assert any(f"{gain:.0%} more than 200" in claim.text for claim in outcome.claims if claim.stance is Stance.AGAINST)


def test_too_few_lengths_leave_it_open():
    rows = with_later_columns(rows_of(LENGTH.parts, power))
    outcome = analyze(rows[rows["seq_len"] <= 128])
    assert {claim.stance for claim in outcome.claims if "too few lengths" in claim.text} == {Stance.OPEN}


def test_what_any_random_text_would_give_is_not_stored_of_this_one():
    entropy = 0.8 * BASE_LOSS
    rows = with_later_columns(
        rows_of(
            LENGTH.parts, lambda point: min(0.2 * BASE_LOSS + 400 / point["seq_len"], BASE_LOSS), noise=0.001
        ).assign(source_entropy_nats=entropy)
    )
    outcome = analyze(rows)
    verdicts = {each["origin"]: each["verdict"] for each in outcome.numbers["longest"].values()}
    assert verdicts == {"base": "grows", "source": "levels off"}
    cells = stored(rows, "source")
    assert (cells["offered"] / cells["target_tokens"]).to_numpy() == pytest.approx(entropy)
    assert cells["nats"].median() == pytest.approx(400, rel=0.1)
