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
    assert (falling.falling, falling.last) == (True, 2.0)
    flat = trend(tmp_path, [9, 8, 7, 2, 2, 2, 2, 2, 2], beside)
    assert flat
    assert flat.has_stopped


def test_short_and_broken_logs_tell_nothing(tmp_path: Path):
    assert trend(tmp_path, [3, 2, 1]) is None
    (tmp_path / "checkpoint" / "trainer_state.json").write_text("{")
    assert loss_trend(Subject("a", Kind.ADAPTER, tmp_path / "checkpoint")) is None
    assert loss_trend(Subject("none", Kind.BASE)) is None


def test_a_learning_rate_that_decayed_flattens_the_loss(tmp_path: Path):
    log = [{"loss": 2.0, "learning_rate": 1e-3 * (1 - step / 9)} for step in range(10)]
    (tmp_path / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    found = loss_trend(Subject("a", Kind.ADAPTER, tmp_path))
    assert found
    assert (found.falling, found.has_stopped) == (False, False)


def test_the_newest_checkpoint_beside_the_adapter_has_the_log(tmp_path: Path):
    (tmp_path / "checkpoint-20").mkdir()
    log = [{"loss": float(loss)} for loss in range(9, 0, -1)]
    (tmp_path / "checkpoint-20" / "trainer_state.json").write_text(json.dumps({"log_history": log}))
    assert loss_trend(Subject("a", Kind.ADAPTER, tmp_path))
