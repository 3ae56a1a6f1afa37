"""Fit a cost model to finished cells."""

import pandas as pd
import torch

from memlaw.planning.cost import CostModel

COST_COLUMNS = ["pack_size", "step_flops", "worker_seconds", "steps_trained"]
"""Columns of `result.json` that the cost model is fitted to."""


def cost_of_study(finished: pd.DataFrame, device_type: str, dtype: torch.dtype) -> CostModel | None:
    """Fit the finished cells of a kind of device and a precision. Return None when there are none.

    Args:
        finished: rows of `memlaw.study.records.read_results`.
        device_type: `cpu` or `cuda`.
        dtype: dtype of the base model.
    """
    if finished.empty:
        return None
    same = finished["device"].str.startswith(device_type) & (finished["dtype"] == str(dtype).removeprefix("torch."))
    rows = finished[same].reindex(columns=COST_COLUMNS).dropna().query("steps_trained > 0")
    if rows.empty:
        return None
    seconds = rows["worker_seconds"] / rows["steps_trained"]
    return CostModel.from_cells(rows["pack_size"], rows["step_flops"], seconds)
