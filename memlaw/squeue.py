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
        id: `123`, or `123_4` for a task of an array.
        state: Slurm's word, e.g. `PENDING`.
        reason: why it waits, e.g. `Priority`; empty when it does not.
    """

    id: str
    state: str
    reason: str


def study_jobs(study: Path) -> list[Job]:
    """The jobs of a study; none where there is no Slurm or it does not answer."""
    if shutil.which("squeue") is None:
        return []
    try:
        command = ["squeue", "--json", f"--user={study.stat().st_uid}"]  # not all that a large cluster holds
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
        return parse_jobs(json.loads(done.stdout), study)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def parse_jobs(answer: Any, study: Path) -> list[Job]:
    """The jobs of `squeue --json` whose standard output lies below `study`, finished ones left out.

    Slurm's versions differ: a state is a word or a list of words, a number may be wrapped with whether it is set.
    """
    jobs = answer.get("jobs", []) if isinstance(answer, dict) else []
    own = [job for job in jobs if study.resolve() in Path(job.get("standard_output") or "/").parents]
    found = [Job(_id(job), _state(job["job_state"]), _reason(job)) for job in own]
    return [job for job in found if job.state in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED")]


def summary(jobs: Sequence[Job]) -> str:
    """`2 running, 5 pending (Priority)`."""
    words = []
    for state in dict.fromkeys(job.state for job in jobs):
        own = [job for job in jobs if job.state == state]
        reasons = ", ".join(dict.fromkeys(job.reason for job in own if job.reason))
        words.append(f"{len(own)} {state.lower()}" + (f" ({reasons})" if reasons else ""))
    return ", ".join(words)


def _id(job: dict[str, Any]) -> str:
    array, task = _number(job.get("array_job_id")), _number(job.get("array_task_id"))
    if not array:
        return str(job["job_id"])
    return f"{array}_{job['array_task_string']}" if job.get("array_task_string") else f"{array}_{task}"


def _number(value: Any) -> int | None:
    if isinstance(value, dict):
        return value.get("number") if value.get("set") else None
    return value


def _state(value: str | list[str]) -> str:
    return value if isinstance(value, str) else value[0]


def _reason(job: dict[str, Any]) -> str:
    reason = str(job.get("state_reason") or "")
    return "" if reason == "None" else reason
