from types import SimpleNamespace

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
