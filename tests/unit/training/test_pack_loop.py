"""Around the steps of a pack: signals, and the clock of cells that others wait for."""

import signal
from types import SimpleNamespace
from unittest.mock import MagicMock, patch

import pytest
from helpers.packs import LONG, make_cells, train

from memlaw.data.memory import Memory, Pair
from memlaw.training import history, pack_clock
from memlaw.training.asking import ask_together
from memlaw.training.checkpoint import step_of
from memlaw.training.history import History
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack
from memlaw.training.pack_clock import PackClock


def signalled(monkeypatch, number: signal.Signals, at: int) -> None:
    """Let the process get a signal in the middle of a step."""
    step = PackModule.training_step

    def training_step(self, rows_NB, index):
        if self.steps_taken == at:
            signal.raise_signal(number)
        return step(self, rows_NB, index)

    monkeypatch.setattr(PackModule, "training_step", training_step)


def test_ctrl_c_in_a_step_ends_training_after_it_with_checkpoints(tiny, monkeypatch):
    cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG, f"seed={seed}") for seed in (0, 1)])
    signalled(monkeypatch, signal.SIGINT, at=17)
    for cell in cells:
        cell.plan()
    tracker = MagicMock()
    with patch("memlaw.training.pack.Tracker", return_value=tracker), pytest.raises(KeyboardInterrupt):
        train_pack(cells, cfg)
    assert [step_of(cell.paths.checkpoint) for cell in cells] == [18, 18]
    assert [cell.state for cell in cells] == ["pending", "pending"]
    assert tracker.start.return_value.interrupt.call_count == 2
    tracker.settle.assert_called_once_with()
    assert not tracker.start.return_value.fail.called


def test_a_signal_that_another_library_handles_ends_nothing(tiny, monkeypatch):
    handled = []
    before = signal.signal(signal.SIGUSR2, lambda *_: handled.append(step_of(cells[0].paths.checkpoint)))
    try:
        cells, cfg = make_cells(tiny, [("lora.rank=2", *LONG)])
        signalled(monkeypatch, signal.SIGUSR2, at=17)
        train(cells, cfg)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert handled == [18]
    assert cells[0].state == "done"


def test_time_is_shared_by_the_cells_that_train_and_pauses_are_left_out(monkeypatch):
    now = [100.0]
    for module in (history, pack_clock):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    memory = Memory((Pair((1,), (2,)),))
    histories, clock = [History(History.of(memory, None).tokens, started=now[0]) for _ in range(2)], PackClock()
    now[0] += 10
    clock.share(histories)
    now[0] += 1000
    clock.leave_out(histories)
    now[0] += 6
    clock.share(histories[:1])
    assert [history.worker_seconds for history in histories] == [5 + 6, 5]
    assert [history.seconds for history in histories] == [16, 16]


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
