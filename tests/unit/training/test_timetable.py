from types import SimpleNamespace

import pytest

from memlaw.data.memory import Memory, Pair
from memlaw.methods.schedule import Schedule
from memlaw.training.timetable import Timetable


def timetable(pairs: int, batch_rows: int, all_recalled: str = "zero", dropout: float = 0.0, **stop) -> Timetable:
    live = SimpleNamespace(
        schedule=Schedule(batch_rows, 40),
        memory=Memory((Pair((1,), (2,)),) * pairs),
        method=SimpleNamespace(all_recalled=all_recalled),
        spec=SimpleNamespace(dropout=dropout),
    )
    return Timetable.of([live], SimpleNamespace(**{"every": 10, "when_recalled": True, **stop}), per_decade=2)


def test_evaluations_are_log_spaced_and_checks_regular():
    table = timetable(1, 1)
    assert {0, 1, 40} <= table.recorded
    assert table.checked == {0, 10, 20, 30}
    assert 30 in table and 31 not in table
    assert (table.total_steps, table.batch_rows, table.step_evaluates) == (40, 1, True)


@pytest.mark.parametrize(("all_recalled", "checked"), [("zero", set()), ("stop", {0, 10, 20, 30})])
def test_without_a_rule_by_which_a_cell_may_end_nothing_is_checked(all_recalled, checked):
    assert timetable(1, 1, all_recalled, when_recalled=False).checked == checked


def test_a_table_is_not_checked_more_often_than_once_an_epoch():
    table = timetable(100, 5)
    assert table.checked == {0, 20}
    assert not table.step_evaluates


def test_a_step_with_dropout_is_no_evaluation():
    assert not timetable(1, 1, dropout=0.1).step_evaluates
