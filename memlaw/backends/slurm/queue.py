"""Read Slurm's queue: the jobs that wait or run, and the jobs of a study."""

import logging
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from memlaw.backends.slurm.commands import ask
from memlaw.backends.slurm.tasks import submitted
from memlaw.core.errors import ConfigError

log = logging.getLogger(__name__)

POLL_S = 10.0
"""Seconds between two looks at the queue while a sweep waits."""

VIEW_TIMEOUT_S = 20.0
"""Time for which `memlaw status` waits for squeue."""


@dataclass(frozen=True)
class Job:
    """A waiting or running job, or a task of an array.

    Attributes:
        id: `123`, or `123_4` for a task of an array.
        state: state as Slurm names it: `PENDING`, `RUNNING` or `SUSPENDED`.
        reason: why it waits, e.g. `Priority`; empty when it does not wait.
    """

    id: str
    state: str
    reason: str


def live_jobs(user: int | None = None, timeout_s: float = 120.0) -> list[Job]:
    """Return a user's waiting and running jobs.

    A cancelled job does not count while it completes. A requeued job counts.

    Args:
        user: number of the user; by default that of this process.
        timeout_s: time in which squeue has to answer.

    Raises:
        ConfigError: there is no Slurm here, or squeue refuses, in its own words.
    """
    options = (
        f"--user={os.getuid() if user is None else user}",  # a large cluster has many other jobs
        "--states=PENDING,RUNNING,SUSPENDED",
        "--format=%i|%T|%r",
    )
    lines = ask("squeue", "--noheader", "--array", *options, timeout_s=timeout_s)
    fields = [line.strip().split("|", 2) for line in lines.splitlines()]
    return [Job(job, state, "" if reason == "None" else reason) for job, state, reason in fields]


def study_jobs(study: Path) -> list[Job]:
    """Return the waiting and running jobs of a study. Return none where Slurm is missing or does not answer."""
    try:
        jobs = submitted(study)
        return [job for job in live_jobs(study.stat().st_uid, VIEW_TIMEOUT_S) if job.id in jobs] if jobs else []
    except (ConfigError, OSError, ValueError):
        return []


def summary(jobs: Sequence[Job]) -> str:
    """Count jobs in words: `2 running, 5 pending (Priority)`."""
    words = []
    for state in dict.fromkeys(job.state for job in jobs):
        alike = [job for job in jobs if job.state == state]
        reasons = ", ".join(dict.fromkeys(job.reason for job in alike if job.reason))
        words.append(f"{len(alike)} {state.lower()}" + (f" ({reasons})" if reasons else ""))
    return ", ".join(words)


def ranges(ids: Iterable[str]) -> str:
    """Shorten ordered job ids: `12_[0-3], 14`."""
    last: dict[str, list[str]] = {}
    for job in ids:
        array, _, index = job.partition("_")
        last.setdefault(array, []).append(index)
    return ", ".join(
        array if indices == [""] else f"{array}_[{indices[0]}-{indices[-1]}]" for array, indices in last.items()
    )


class Awaited:
    """Jobs for whose end a sweep waits.

    Args:
        jobs: ids of the jobs.
    """

    def __init__(self, jobs: Iterable[str]):
        self.jobs = set(jobs)
        self.next_look = 0.0
        self.missed = 0

    def gone(self) -> bool:
        """Tell whether no job is left. Look twice, `POLL_S` apart, so that the last files of the jobs have arrived."""
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + POLL_S
            try:
                left = self.jobs & {job.id for job in live_jobs()}
                self.missed = 0 if left else self.missed + 1
            except ConfigError as error:  # the controller may be restarting; the jobs go on
                log.warning("squeue: %s", error)
        return self.missed >= 2
