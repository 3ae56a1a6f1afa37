import json
from pathlib import Path

import pytest

from memlaw.verification.loss_trend import loss_trend
from memlaw.verification.subject import Kind, Subject


def trend(directory: Path, losses: list, beside: bool = False):
    path = directory / "checkpoint"
    path.mkdir(exist_ok=True)
    log = [{"loss": loss, "step": step} for step, loss in enumerate(losses)] + [{"eval_loss": 1.0}]
    ((directory if beside else path) / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    return loss_trend(Subject("a", Kind.ADAPTER, path))


@pytest.mark.parametrize("beside", [True, False])
def test_a_falling_loss_is_told_from_a_flat_one(tmp_path: Path, beside: bool):
    falling = trend(tmp_path, [9, 8, 7, 6, 5, 4, 3, 2, 1], beside)
    assert falling
    assert (falling.falling, falling.last) == (True, 1.0)
    flat = trend(tmp_path, [9, 8, 7, 2, 2, 2, 2, 2, 2], beside)
    assert flat
    assert not flat.falling


def test_short_and_broken_logs_tell_nothing(tmp_path: Path):
    assert trend(tmp_path, [3, 2, 1]) is None
    (tmp_path / "checkpoint" / "trainer_state.json").write_text("{")
    assert loss_trend(Subject("a", Kind.ADAPTER, tmp_path / "checkpoint")) is None
    assert loss_trend(Subject("none", Kind.BASE)) is None
