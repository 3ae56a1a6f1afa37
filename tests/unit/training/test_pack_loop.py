"""Around the steps of a pack: signals, and the clock of cells that others wait for."""

import signal
from unittest.mock import MagicMock, patch

import pytest
from helpers.packs import LONG, make_cells, train

from memlaw.training.checkpoint import step_of
from memlaw.training.module import PackModule
from memlaw.training.pack import train_pack


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
