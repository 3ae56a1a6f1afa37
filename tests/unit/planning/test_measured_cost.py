import pandas as pd
import pytest
import torch
from helpers.rows import ROW

from memlaw.planning.measured_cost import cost_of_study


def finished(*changes: dict) -> pd.DataFrame:
    return pd.DataFrame([{**ROW, **change} for change in changes])


def test_cells_of_this_device_and_precision_are_fitted():
    table = finished({}, {"device": "cuda:0"}, {"dtype": "bfloat16"}, {"steps_trained": 0}, {"worker_seconds": None})
    cost = cost_of_study(table, "cpu", torch.float32)
    assert cost is not None
    assert cost.measured_cells == 1
    assert cost.cell_seconds(8e6, 1, 10) == pytest.approx(20.0)


def test_without_such_a_cell_there_is_no_cost():
    assert cost_of_study(pd.DataFrame(), "cpu", torch.float32) is None
    assert cost_of_study(finished({}), "cuda", torch.float32) is None
    assert cost_of_study(finished({}), "cpu", torch.bfloat16) is None
