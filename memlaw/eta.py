"""When a study will be done, from what its cells have taken so far.

A cell's arithmetic per step is taken as proportional to its target tokens: coarser than a plan, which knows the
model, but read from the study alone.
"""

import time
from collections.abc import Sequence
from statistics import median

from memlaw.cost import CostModel
from memlaw.heartbeat import DEAD, timestamp
from memlaw.observe import Observation
from memlaw.progress import trained_share
from memlaw.status_file import DONE, PENDING, RUNNING, UNREADABLE


def eta_seconds(seen: Sequence[Observation]) -> float | None:
    """Time until all cells have ended, no early stop assumed; None when nothing runs or nothing tells.

    Dead and unreadable cells count: the sweep that finishes the study trains them again.
    """
    workers = {_worker(one) for one in seen if one.state == RUNNING}
    left = [one for one in seen if one.cell and one.state in (RUNNING, PENDING, DEAD, UNREADABLE)]
    if not workers or not left:
        return None
    total = 0.0
    for model in {_model(one) for one in left}:
        own = [one for one in seen if one.cell and _model(one) == model]
        cost, sizes = _cost(own), _pack_sizes(own)
        if cost is None:
            return None
        for one in left:
            if _model(one) == model:
                steps = _total_steps(one, own)
                if steps is None:
                    return None
                share = trained_share(one.status) if one.state == RUNNING else 0.0
                total += (1 - share) * cost.cell_seconds(_tokens(one), sizes, steps)
    return total / len(workers)


def _cost(seen: Sequence[Observation]) -> CostModel | None:
    """Fitted to the finished cells of a model; where there is none, to what its running ones have taken."""
    rows = [one.result() | {"tokens": _tokens(one)} for one in seen if one.state == DONE]
    known = [row for row in rows if row.get("steps_trained") and row.get("worker_seconds")]
    if known:
        seconds = [row["worker_seconds"] / row["steps_trained"] for row in known]
        if len({row["tokens"] for row in known}) == 1:  # one length does not tell what another takes
            return CostModel(0.0, median(seconds) / known[0]["tokens"], len(known))
        return CostModel.from_cells([row["pack_size"] for row in known], [row["tokens"] for row in known], seconds)
    running = [one for one in seen if one.state == RUNNING]
    began = {_worker(one): timestamp(one.status, "started") or time.time() for one in running}
    work = sum(one.status.get("step", 0) * _tokens(one) for one in running)
    return CostModel(0.0, sum(time.time() - then for then in began.values()) / work, 0) if work else None


def _pack_sizes(seen: Sequence[Observation]) -> int:
    finished = [one.result().get("pack_size", 1) for one in seen if one.state == DONE]
    return round(median(finished)) if finished else 1


def _total_steps(one: Observation, seen: Sequence[Observation]) -> int | None:
    """Steps of a cell; where the config gives epochs, those of another cell of its length that has begun."""
    assert one.cell
    if one.cell.config.steps is not None:
        return one.cell.config.steps
    begun = [other for other in (one, *seen) if _tokens(other) == _tokens(one) and "total_steps" in other.status]
    return begun[0].status["total_steps"] if begun else None


def _tokens(one: Observation) -> int:
    assert one.cell
    return one.cell.config.seq_len


def _model(one: Observation) -> str:
    assert one.cell
    return str(one.cell.config.model.name)


def _worker(one: Observation) -> tuple[str | None, int | None]:
    return one.status.get("host"), one.status.get("pid")
