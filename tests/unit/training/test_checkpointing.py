"""When checkpoints are due."""

from types import SimpleNamespace

import pytest

from memlaw.training import checkpointing
from memlaw.training.checkpointing import Checkpoints


@pytest.mark.parametrize(
    ("every_min", "due"), [(2, [False, True, False]), (0, [True, True, True]), (None, [False, False, False])]
)
def test_checkpoints_are_due_some_minutes_after_the_last_ones(monkeypatch, every_min, due: list[bool]):
    now = [0.0]
    monkeypatch.setattr(checkpointing, "time", SimpleNamespace(monotonic=lambda: now[0]))
    checkpoints = Checkpoints(every_min)
    results = []
    for seconds in (119, 120, 121):
        now[0] = seconds
        results.append(checkpoints.due)
        if checkpoints.due:
            checkpoints.write(SimpleNamespace(cells=[]), 1, None)
    assert results == due
