"""When a cell ends: recalled often enough, or with a loss that is not finite."""

from unittest.mock import MagicMock

import numpy as np
import pytest

from memlaw.core.errors import CellError
from memlaw.data.memory import Memory, Pair
from memlaw.methods.schedule import Schedule
from memlaw.planning.resolved import resolve
from memlaw.study.records import Evaluated
from memlaw.training.live_cell import LiveCell


@pytest.fixture
def live(tiny):
    def make(*overrides: str) -> LiveCell:
        cell, _ = tiny(*overrides)
        cell.plan()
        resolved = resolve(cell)
        memory = Memory((Pair((1,), (2, 3)),))
        return LiveCell(cell, memory, resolved.method.on(1), resolved.spec, Schedule(1, 10), MagicMock(), str)

    return make


def evaluated(*p: float, step: int = 5) -> Evaluated:
    nll_S = -np.log(np.array(p))
    return Evaluated(step, nll_S, np.zeros(len(p), int), nll_S, np.ones(len(p)))


def test_a_cell_is_recalled_after_as_many_successive_checks_as_its_patience(live):
    cell = live("stop.when_recalled=true", "stop.patience=2", "stop.p_above=0.9")
    checks = [(0.95, 0.95), (0.95, 0.85), (0.95, 0.95), (0.99, 0.91)]
    assert [cell.is_recalled(evaluated(*p)) for p in checks] == [False, False, False, True]


def test_without_the_rule_a_recalled_cell_goes_on(live):
    cell = live("stop.when_recalled=false", "stop.patience=1")
    assert not cell.is_recalled(evaluated(0.999, 0.999))


def test_a_cell_without_tokens_to_train_ends_at_once_if_its_method_says_so(live):
    cell = live("stop.when_recalled=false", "method=memft_ot", "method.all_recalled=stop", "method.threshold=0.5")
    assert not cell.is_recalled(evaluated(0.6, 0.4))
    assert cell.is_recalled(evaluated(0.6, 0.5))


@pytest.mark.parametrize(("step", "advice"), [(0, "check precision and the model"), (5, "lower optimizer.lr=")])
def test_a_loss_that_is_not_finite_ends_the_cell_and_removes_its_checkpoint(live, step: int, advice: str):
    cell = live()
    cell.cell.paths.checkpoint.write_bytes(b"")
    cell.check_finite(evaluated(0.5, 0.5, step=step))
    assert cell.cell.paths.checkpoint.exists()
    broken = evaluated(0.5, np.nan, step=step)
    with pytest.raises(CellError, match=rf"1 of 2 losses are not finite after step {step}; {advice}"):
        cell.check_finite(broken)
    assert not cell.cell.paths.checkpoint.exists()
