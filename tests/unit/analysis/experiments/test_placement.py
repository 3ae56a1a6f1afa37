import pandas as pd
import pytest
from helpers.experiments import law, rows_of
from memlaw_analysis.experiments.catalogue import PLACEMENT
from memlaw_analysis.experiments.experiment import Stance
from memlaw_analysis.experiments.placement import (
    ALL,
    ATTENTION,
    DOWN,
    UP_GATE,
    analyze,
    by_depth,
    by_modules,
    by_spread,
    contrasts,
    placed,
)
from memlaw_analysis.experiments.rows import with_later_columns
from memlaw_analysis.law.enough import TooFewCells


def per_parameter(attention: float = 1.0, many: float = 1.0, depth: float = 0.0, noise: float = 0.001):
    """Rows whose bits per parameter have known ratios: attention to others, many layers to one, and by the layer."""
    rows = with_later_columns(rows_of(PLACEMENT.parts, law, noise=0.0))
    cells = placed(rows)
    jitter = 1 + noise * (2 * cells["seed"] - 1)
    factor = (cells["kind"] == ATTENTION).map({True: attention, False: 1.0}) * jitter
    factor *= (cells["count"] > 1).map({True: many, False: 1.0})
    factor *= [1 + depth * layers[0] for layers in cells["layers"]]
    bits = 0.2 * factor
    return rows.assign(bits_per_parameter=bits, delta_loss_nats=bits * rows["trainable_parameters"] / rows["seq_len"])


def test_each_comparison_takes_the_cells_of_its_part():
    cells = placed(with_later_columns(rows_of(PLACEMENT.parts)))
    modules = by_modules(cells)
    assert set(modules["kind"]) == {ATTENTION, UP_GATE, DOWN, ALL}
    sizes = modules["trainable_parameters"]
    assert sizes.max() / sizes.min() < 1.6
    depth = by_depth(cells)
    assert set(depth["kind"]) == {DOWN}
    assert depth["layers"].nunique() > 4
    spread = by_spread(cells)
    assert set(spread["count"]) == {1, 8}
    assert (spread["lora.rank"] * spread["count"]).nunique() == 1


def test_a_ratio_is_that_of_the_longest_text():
    cells = by_modules(placed(per_parameter(attention=0.5)))
    shorter = cells.assign(target_tokens=cells["target_tokens"] / 2, bits_per_parameter=0.2)
    ratios = contrasts(pd.concat([cells, shorter]), "kind")
    assert ratios[DOWN, ATTENTION].value == pytest.approx(2, rel=1e-2)
    assert ratios[ATTENTION, DOWN].value == pytest.approx(0.5, rel=1e-2)
    with pytest.raises(TooFewCells, match="1 measurement of attention"):
        contrasts(cells[(cells["kind"] != ATTENTION) | (cells["seed"] == 0)], "kind")


@pytest.mark.parametrize(
    ("attention", "stance", "words"),
    [
        (0.5, Stance.FOR, "The MLP holds more"),
        (2.0, Stance.AGAINST, "Attention holds more"),
        (1.0, Stance.OPEN, "do not differ"),
    ],
)
def test_mlp_and_attention_are_told_apart(attention: float, stance: Stance, words: str):
    claims = analyze(per_parameter(attention=attention)).claims
    assert [claim.stance for claim in claims if words in claim.text] == [stance]


@pytest.mark.parametrize(
    ("many", "stance", "words"),
    [
        (0.5, Stance.AGAINST, "One layer with a high rank holds more"),
        (2.0, Stance.AGAINST, "Many layers with a low rank hold more"),
        (1.0, Stance.FOR, "Equal parameters hold the same"),
    ],
)
def test_one_layer_and_many_are_told_apart(many: float, stance: Stance, words: str):
    claims = analyze(per_parameter(many=many)).claims
    assert [claim.stance for claim in claims if words in claim.text] == [stance]


def test_wide_intervals_agree_with_nothing():
    rows = per_parameter()
    factor = [1.3 if index % 3 else 0.7 for index in range(len(rows))]  # scatters within pairs
    noisy = rows.assign(**{name: rows[name] * factor for name in ("bits_per_parameter", "delta_loss_nats")})
    claims = analyze(noisy).claims
    assert not [claim for claim in claims if claim.stance is Stance.FOR]


def test_texts_that_are_recalled_whole_are_not_compared():
    rows = per_parameter()
    full = rows.assign(delta_loss_nats=rows["base_loss_nats"])
    assert all(table.empty for table in analyze(full).tables.values())


def test_the_layer_matters_where_it_does():
    assert any("layer matters" in claim.text for claim in analyze(per_parameter(depth=0.02)).claims)


def test_parts_that_were_not_run_are_open():
    rows = per_parameter()
    only_down = rows[(rows["adapted_layers"] == "[20]") & (rows["lora.rank"] == 5)]
    assert len(only_down)
    outcome = analyze(only_down)
    assert {claim.stance for claim in outcome.claims} == {Stance.OPEN}
    assert outcome.figure is None


def test_places_that_stored_nothing_are_named_and_have_no_ratio():
    rows = per_parameter()
    everywhere = rows["lora.target_modules"] == "all-linear"
    diverged = rows.assign(
        bits_per_parameter=rows["bits_per_parameter"].where(~everywhere, -0.1),
        delta_loss_nats=rows["delta_loss_nats"].where(~everywhere, -0.5),
    )
    outcome = analyze(diverged)
    assert outcome.numbers["diverged"] == [ALL]
    assert any("MLP" in claim.text for claim in outcome.claims)
    assert (ALL, DOWN) not in contrasts(by_modules(placed(diverged)), "kind")
