"""The SLURM jobs of a study, as `squeue --json` tells them: those whose output goes into the study's directory."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 20


@dataclass(frozen=True)
class Job:
    """A queued or running job, or one task of an array.

    Attributes:
        id: `123`, or `123_4` for a task of an array, or `123_5-9%2` for those that wait.
        state: Slurm's word, e.g. `PENDING`.
        reason: why it waits, e.g. `Priority`; empty when it does not.
    """

    id: str
    state: str
    reason: str

    @property
    def tasks(self) -> int:
        """How many tasks it is; those of an array that wait are one job, `123_0-3,7%2`."""
        ranges = self.id.partition("_")[2].partition("%")[0].split(",")
        ends = [[int(end) for end in span.partition(":")[0].split("-") if end.isdigit()] for span in ranges]
        return max(1, sum(end[-1] - end[0] + 1 for end in ends if end))


def study_jobs(study: Path) -> list[Job]:
    """The jobs of a study; none where there is no Slurm, or no answer that can be read."""
    if shutil.which("squeue") is None:
        return []
    try:
        command = ["squeue", "--json", f"--user={study.stat().st_uid}"]  # not all that a large cluster holds
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        return parse_jobs(json.loads(done.stdout), study)
    except (OSError, subprocess.SubprocessError, ValueError, RecursionError):
        return []


def parse_jobs(answer: Any, study: Path) -> list[Job]:
    """The jobs of `squeue --json` whose standard output lies below `study`, finished ones left out.

    Slurm's versions differ: a state is a word or a list of words, a number may be wrapped with whether it is set. What
    is none of these is left out.
    """
    jobs = answer.get("jobs") if isinstance(answer, dict) else None
    listed = [job for job in jobs if isinstance(job, dict)] if isinstance(jobs, list) else []
    place = study.resolve()
    own = [job for job in listed if place in Path(_text(job.get("standard_output")) or "/").parents]
    found = [Job(_id(job), _state(job.get("job_state")), _reason(job)) for job in own]
    return [job for job in found if job.state in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED")]


def summary(jobs: Sequence[Job]) -> str:
    """`2 running, 5 pending (Priority)`."""
    words = []
    for state in dict.fromkeys(job.state for job in jobs):
        own = [job for job in jobs if job.state == state]
        reasons = ", ".join(dict.fromkeys(job.reason for job in own if job.reason))
        words.append(f"{sum(job.tasks for job in own)} {state.lower()}" + (f" ({reasons})" if reasons else ""))
    return ", ".join(words)


def _id(job: dict[str, Any]) -> str:
    array, task = _number(job.get("array_job_id")), _number(job.get("array_task_id"))
    if not array:
        return str(_number(job.get("job_id")) or "?")
    return f"{array}_{_text(job.get('array_task_string')) or task}"


def _number(value: Any) -> int | None:
    if isinstance(value, dict):
        value = value.get("number") if value.get("set") else None
    return value if isinstance(value, int) else None


def _state(value: Any) -> str:
    return _text(value[0] if isinstance(value, list) and value else value)


def _reason(job: dict[str, Any]) -> str:
    reason = _text(job.get("state_reason"))
    return "" if reason == "None" else reason


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
