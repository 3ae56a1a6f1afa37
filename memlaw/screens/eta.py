"""Estimate the time until a study is done, from the times of its cells and the work that is left."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from memlaw.planning.cost import CostModel
from memlaw.study.liveness import DEAD
from memlaw.study.status import DONE, FORECAST, PENDING, RUNNING
from memlaw.study.survey import Observation


def eta_seconds(observations: Sequence[Observation]) -> float | None:
    """Estimate the seconds until all cells have ended, without early stops.

    Return None when no cell runs or no step has been taken yet. Include dead cells, which the next sweep trains again.
    Leave out cells whose status cannot be read.
    """
    workers = {_worker(observation) for observation in observations if observation.state == RUNNING}
    left = [
        observation
        for observation in observations
        if observation.state in (RUNNING, PENDING, DEAD) and _planned(observation)
    ]
    cost = _cost(observations)
    if not workers or not left or cost is None:
        return None
    pack_size = _pack_size(observations)
    total = 0.0
    for observation in left:
        share = observation.status.trained_share if observation.state == RUNNING else 0.0
        forecast = observation.status.forecast
        total += (1 - share) * cost.cell_seconds(forecast["step_flops"], pack_size, forecast["total_steps"])
    return total / len(workers)


def _planned(observation: Observation) -> bool:
    return observation.status.forecast.keys() == set(FORECAST)


def _cost(observations: Sequence[Observation]) -> CostModel | None:
    """Fit the times of done cells. Where there are none, divide the time of the running cells by their work."""
    timed = [row for row in _results(observations) if row.get("steps_trained") and row.get("worker_seconds")]
    if timed:
        flops = [row["step_flops"] for row in timed]
        seconds = [row["worker_seconds"] / row["steps_trained"] for row in timed]
        if len(set(flops)) == 1:  # a single size cannot separate the two terms of the cost
            return CostModel(0.0, median(seconds) / flops[0], len(timed))
        return CostModel.from_cells([row["pack_size"] for row in timed], flops, seconds)
    running = [observation for observation in observations if observation.state == RUNNING and _planned(observation)]
    began = {_worker(observation): observation.status.started_at or time.time() for observation in running}
    work = sum((observation.status.step or 0) * observation.status.forecast["step_flops"] for observation in running)
    return CostModel(0.0, sum(time.time() - then for then in began.values()) / work, 0) if work else None


def _pack_size(observations: Sequence[Observation]) -> int:
    sizes = [row.get("pack_size", 1) for row in _results(observations)]
    return round(median(sizes)) if sizes else 1


def _results(observations: Sequence[Observation]) -> list[dict[str, Any]]:
    """Return the rows of the done cells."""
    return [observation.result for observation in observations if observation.state == DONE]


def _worker(observation: Observation) -> tuple[str | None, int | None]:
    return observation.status.host, observation.status.pid
