"""The columns of a result that are known before training."""

import json
import math

import pytest
from helpers.packs import make_cells

from memlaw.adapters.degrees_of_freedom import degrees_of_freedom
from memlaw.training import facts
from memlaw.training.pack import train_pack

COMMON = ("steps=2", "stop.when_recalled=false", "seq_len=40", "eval.recall.greedy=false", "eval.side_effects=off")
POINTS = [("lora.rank=1",), ("lora.rank=4",), ("lora.rank=4", "seed=1"), ("lora.rank=200",)]


def rows(tiny, *overrides: str) -> list[dict]:
    cells, cfg = make_cells(tiny, [(*COMMON, *overrides, *point) for point in POINTS])
    for cell in cells:
        cell.plan()
    train_pack(cells, cfg)
    return [json.loads(cell.paths.result.read_text(encoding="utf-8")) for cell in cells]


def test_parameters_that_can_matter_stand_beside_all_of_them(tiny, monkeypatch):
    measured = []
    measure = facts.input_ranks
    monkeypatch.setattr(facts, "input_ranks", lambda *args: measured.append(args) or measure(*args))
    found = rows(tiny)
    assert len(measured) == 2  # once for each seed's text
    for row in found:
        before_the_last = row["input_rank"]
        assert 40 <= before_the_last < 128
        assert row["effective_parameters"] == degrees_of_freedom(row["lora.rank"], 64, before_the_last)
        assert row["bits_per_effective_parameter"] * row["effective_parameters"] == pytest.approx(row["memorized_bits"])
        assert row["effective_parameters"] < row["trainable_parameters"] == row["lora.rank"] * (64 + 128)
    assert found[3]["effective_parameters"] == 64 * found[3]["input_rank"]  # B A has no larger rank


def test_several_modules_have_an_upper_bound_and_no_rank_of_their_own(tiny):
    for row in rows(tiny, "lora.target_modules=[up_proj,down_proj]"):
        assert row["input_rank"] is None
        assert row["effective_parameters"] <= row["trainable_parameters"]


def test_what_is_stored_beyond_the_source_is_counted_where_its_entropy_is_known(tiny):
    for row in rows(tiny, "data.random_ratio=1"):
        stored = row["target_tokens"] * (row["source_entropy_nats"] - row["loss_nats"])
        assert math.log(200) < row["source_entropy_nats"] <= math.log(row["model.sizes.vocab_size"])
        assert row["unintended_memorization_nats"] == pytest.approx(stored)
        assert row["unintended_bits_per_parameter"] * row["trainable_parameters"] == pytest.approx(stored / math.log(2))
    names = ("source_entropy_nats", "unintended_memorization_nats", "unintended_bits_per_parameter")
    assert {row[name] for row in rows(tiny, "data.random_ratio=0") for name in names} == {None}
