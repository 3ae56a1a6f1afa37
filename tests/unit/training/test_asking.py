"""Finished cells are asked together where that is possible, and training does not notice."""

import json
from types import SimpleNamespace

import pytest
from helpers.packs import LONG, make_cells, train

from memlaw.study.records import read_tokens
from memlaw.training.asking import ask_together


def test_cells_that_cannot_be_asked_together_are_asked_alone_and_lose_at_most_the_answer(caplog):
    asked = []

    def ask(memories):
        asked.append(list(memories))
        if len(memories) > 2 or 7 in memories:
            raise MemoryError("too many")
        return [f"answer {n}" for n in memories]

    cells = {n: SimpleNamespace(memory=None, cell=SimpleNamespace(name=f"cell {n}")) for n in (1, 5, 7)}
    assert ask_together(ask, cells, "recall") == {1: "answer 1", 5: "answer 5"}
    assert asked == [[1, 5, 7], [1], [5], [7]]
    assert "cell 7 ends without recall: MemoryError: too many" in caplog.text
    assert ask_together(ask, {}, "recall") == {}


ANSWERS = {"eval.recall.greedy": ("true", "false"), "eval.side_effects": ("on", "off")}
"""Key → the value that asks finished cells, and the one that does not."""


@pytest.mark.parametrize("key", ANSWERS)
def test_training_goes_on_as_if_finished_cells_had_not_been_asked(tiny, key: str):
    points = [(*LONG, "seq_len=8", f"lora.rank={rank}", "stop.every=5") for rank in (16, 1)]
    points = [(*point, "stop.when_recalled=true", "stop.patience=2") for point in points]
    numbers = []
    for study, value in zip(("asked", "not_asked"), ANSWERS[key], strict=True):
        cells, cfg = make_cells(tiny, points, f"study={study}", "eval.recall.greedy=false", f"{key}={value}")
        train(cells, cfg)
        first = json.loads(cells[0].paths.result.read_text())
        assert first["stop_reason"] == "recalled"
        answered = cells[0].paths.recall.exists() or "forgetting_nats" in first
        assert answered == (study == "asked")
        numbers.append(read_tokens(cells[1].paths.tokens)["p"].to_list())
    assert numbers[0] == numbers[1]
