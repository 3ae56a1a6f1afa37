"""Explain why a cell failed, died or cannot be read."""

from pathlib import Path

from memlaw.core.wording import duration
from memlaw.study.layout import CellPaths
from memlaw.study.liveness import DEAD, silence_seconds
from memlaw.study.survey import Observation


def cause(study: Path, observation: Observation) -> str:
    """Explain in one line why a cell of the study failed, died or cannot be read."""
    status = observation.status
    if observation.state != DEAD:
        return str(status.cause)
    silent = silence_seconds(CellPaths(study / observation.name), status)
    ago = f"last seen {duration(silent)} ago" if silent < float("inf") else "never seen"
    at = "" if status.step is None else f" at step {status.step}"
    return f"process {or_unknown(status.pid)} on {or_unknown(status.host)} is gone{at}, {ago}"


def or_unknown(value: object) -> str:
    """Show a value, or `?` where there is none."""
    return "?" if value is None else str(value)
