"""A history survives its checkpoint."""

from types import SimpleNamespace

import numpy as np

from memlaw.data.memory import Memory, Pair
from memlaw.study.records import Evaluated
from memlaw.training import history as module
from memlaw.training.checkpoint import Checkpoint
from memlaw.training.history import History

MEMORY = Memory((Pair((1,), (2, 3)), Pair((4,), (5,))))


def test_a_restored_history_equals_the_saved_one(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    saved = History(History.of(MEMORY, None).tokens, started=now[0])
    for step in (0, 3):
        nll_S = np.array([3.0, 2.0, 1.0], np.float32) / (1 + step)
        saved.tokens.add(Evaluated(step, nll_S, np.array([2, 3, 9]), nll_S / 2, np.ones(3, np.float32)))
    saved.curves, saved.recalled_checks, saved.worker_seconds = [{"loss_nats": 2.0}, {"loss_nats": 0.5}], 2, 7.0
    now[0] += 30
    tensors, progress = saved.state()
    now[0] += 1000  # no process trains in the meantime
    restored = History.of(MEMORY, Checkpoint(3, tensors, progress))
    assert restored.seconds == 30
    assert (restored.curves, restored.recalled_checks, restored.worker_seconds) == (saved.curves, 2, 7.0)
    assert restored.tokens.table().equals(saved.tokens.table())


def test_positions_count_within_each_pair():
    table = History.of(MEMORY, None).tokens
    table.add(Evaluated(0, np.zeros(3), np.zeros(3, int), np.zeros(3), np.ones(3)))
    rows = table.table()
    assert rows[["pair", "position", "token_id"]].to_numpy().tolist() == [[0, 0, 2], [0, 1, 3], [1, 0, 5]]
