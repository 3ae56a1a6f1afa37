from types import SimpleNamespace

from memlaw.data.memory import Memory, Pair
from memlaw.training import history, pack_clock
from memlaw.training.history import History
from memlaw.training.pack_clock import PackClock


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
