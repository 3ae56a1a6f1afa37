"""When a study will be done: what its cells have taken so far, and the arithmetic that their plans found ahead."""

import time
from collections.abc import Sequence
from statistics import median

from memlaw.cost import CostModel
from memlaw.heartbeat import DEAD
from memlaw.status_file import DONE, FORECAST, PENDING, RUNNING
from memlaw.survey import Observation


def eta_seconds(seen: Sequence[Observation]) -> float | None:
    """Time until all cells have ended, no early stop assumed; None when nothing runs or nothing tells.

    Dead cells count: the sweep that finishes the study trains them again. Those whose status cannot be read do not.
    """
    workers = {_worker(one) for one in seen if one.state == RUNNING}
    left = [one for one in seen if one.state in (RUNNING, PENDING, DEAD) and _planned(one)]
    cost = _cost(seen)
    if not workers or not left or cost is None:
        return None
    pack_size = _pack_size(seen)
    total = 0.0
    for one in left:
        share = one.status.trained_share if one.state == RUNNING else 0.0
        forecast = one.status.forecast
        total += (1 - share) * cost.cell_seconds(forecast["step_flops"], pack_size, forecast["total_steps"])
    return total / len(workers)


def _planned(one: Observation) -> bool:
    return one.status.forecast.keys() == set(FORECAST)


def _cost(seen: Sequence[Observation]) -> CostModel | None:
    """Fitted to the finished cells; where there is none, to what the running ones have taken."""
    rows = [one.result for one in seen if one.cell and one.state == DONE]
    known = [row for row in rows if row.get("steps_trained") and row.get("worker_seconds")]
    if known:
        flops = [row["step_flops"] for row in known]
        seconds = [row["worker_seconds"] / row["steps_trained"] for row in known]
        if len(set(flops)) == 1:  # one size does not tell what another takes
            return CostModel(0.0, median(seconds) / flops[0], len(known))
        return CostModel.from_cells([row["pack_size"] for row in known], flops, seconds)
    running = [one for one in seen if one.state == RUNNING and _planned(one)]
    began = {_worker(one): one.status.started_at or time.time() for one in running}
    work = sum((one.status.step or 0) * one.status.forecast["step_flops"] for one in running)
    return CostModel(0.0, sum(time.time() - then for then in began.values()) / work, 0) if work else None


def _pack_size(seen: Sequence[Observation]) -> int:
    finished = [one.result.get("pack_size", 1) for one in seen if one.cell and one.state == DONE]
    return round(median(finished)) if finished else 1


def _worker(one: Observation) -> tuple[str | None, int | None]:
    return one.status.host, one.status.pid
