import pytest
from helpers.experiments import BASE_LOSS, rows_of
from memlaw_analysis.experiments.capacity import CAPACITY, analyze, plateaus, precision_ratio, relation
from memlaw_analysis.experiments.estimate import Estimate
from memlaw_analysis.experiments.experiment import Stance
from memlaw_analysis.experiments.rows import from_source, with_later_columns
from memlaw_analysis.law.enough import TooFewCells


def full(level: float, bf16: float = 1.0):
    """Adapters of a level in bits per parameter, which does not depend on the load; a factor for bf16."""

    def gain(point) -> float:
        nats = level * 0.6931 * 2112 * point["lora.rank"] * (bf16 if point["precision"] == "bf16" else 1.0)
        return min(nats / point["seq_len"], BASE_LOSS)

    return gain


def rows(world, noise: float = 0.01, effective: float | None = None):
    cells = rows_of(CAPACITY.parts, world, noise)
    cells["base_loss_nats"] += 0.01 * cells["lora.rank"]  # equal loads of two ranks differ a little, as in real cells
    return with_later_columns(cells.assign(effective_parameters=effective) if effective else cells)


def some(cells):
    """Cells of one precision and number of steps."""
    return cells[(cells["precision"] == "bf16") & (cells["steps"] == 1000)]


@pytest.mark.parametrize(
    ("plateau", "agrees", "words"),
    [
        (Estimate(2.1, 1.9, 2.3), True, "includes the 2 of facts"),
        (Estimate(3.4, 3.2, 3.6), True, "includes the 3.51 to 3.83"),
        (Estimate(1.0, 0.9, 1.1), False, "below the 2"),
        (Estimate(2.8, 2.6, 3.0), False, "between the 2"),
        (Estimate(4.8, 4.6, 5.0), False, "above the 2"),
    ],
)
def test_a_plateau_is_held_against_the_published_ones(plateau: Estimate, agrees: bool, words: str):
    found, place = relation(plateau)
    assert (found, words in place) == (agrees, True)


def test_full_adapters_have_a_plateau():
    outcome = analyze(some(rows(full(1.0), noise=0.03)))
    (claim,) = (claim for claim in outcome.claims if "a plateau at" in claim.text)
    assert "below the 2" in claim.text
    assert claim.stance is Stance.AGAINST
    assert outcome.numbers["reached"] is True


def test_bits_that_rise_with_the_load_have_no_plateau():
    outcome = analyze(some(rows(lambda point: 40 * point["lora.rank"] ** 0.9 * point["seq_len"] ** -0.6)))
    assert any("no plateau**" in claim.text for claim in outcome.claims if claim.stance is Stance.AGAINST)
    assert outcome.numbers["reached"] is False


def test_the_effective_count_has_a_plateau_of_its_own():
    cells = some(rows(full(2.0), effective=1000.0))
    table = plateaus(cells)
    assert set(table["count"]) == {"trainable_parameters", "effective_parameters"}


def test_precisions_are_compared_over_pairs():
    assert precision_ratio(rows(full(0.5, bf16=0.9))).value == pytest.approx(0.9, abs=0.02)
    cells = rows(full(2.0))
    with pytest.raises(TooFewCells, match="bf16 alone"):
        precision_ratio(cells[cells["precision"] == "bf16"])


def test_what_any_random_text_would_give_hides_no_plateau():
    entropy = 0.8 * BASE_LOSS

    def gain(point) -> float:
        return min(0.2 * BASE_LOSS + full(1.0)(point), BASE_LOSS)

    cells = some(rows(gain, noise=0.0)).assign(source_entropy_nats=entropy)
    jitter = 1 + 0.02 * cells["lora.rank"]
    cells = cells.assign(
        base_loss_nats=BASE_LOSS,
        delta_loss_nats=0.2 * BASE_LOSS + (cells["delta_loss_nats"] - 0.2 * BASE_LOSS) * jitter,
    )
    (source,) = plateaus(from_source(cells)).itertuples()
    (base,) = plateaus(cells).itertuples()
    assert source.best < 1.1 < base.best


def test_few_cells_leave_it_open():
    outcome = analyze(rows(full(2.0)).head(2))
    assert {claim.stance for claim in outcome.claims} == {Stance.OPEN}
    assert outcome.numbers["reached"] is None
