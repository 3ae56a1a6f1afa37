import pytest
from omegaconf import OmegaConf

from memlaw.methods.memft import OnlyThreshold, Plain
from memlaw.methods.schedule import Schedule
from memlaw.planning.timetable import Timetable


def timetable(pairs: int, batch_rows: int, all_recalled: str = "zero", dropout: float = 0.0, **stop) -> Timetable:
    config = OmegaConf.create(
        {"stop": {"every": 10, "when_recalled": True, **stop}, "eval": {"per_decade": 2}, "lora": {"dropout": dropout}}
    )
    method = OnlyThreshold("ot", 0.5, all_recalled)
    return Timetable.of(Schedule(batch_rows, 40), config, pairs=pairs, methods=[Plain("sft"), method])


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
    table = timetable(1, 1, dropout=0.1)
    assert not table.step_evaluates
    assert table.recorded | table.checked == {0, 1, 3, 6, 10, 16, 20, 30, 40}
    assert table.forwards_per_step == 8 / 40
    assert timetable(1, 1).forwards_per_step == 0
