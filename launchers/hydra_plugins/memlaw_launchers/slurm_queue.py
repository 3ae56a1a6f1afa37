"""What Slurm says: its limits and the jobs that it holds."""

import logging
import re
import subprocess
import time
from collections.abc import Iterable

from memlaw.errors import ConfigError
from memlaw.slurm_programs import REMEDY, missing_programs

log = logging.getLogger(__name__)

POLL_S = 10.0
"""Seconds between two looks at squeue."""


def ask(*command: str) -> str:
    """Output of a Slurm command.

    Raises:
        ConfigError: there is no Slurm here, or it refuses, in its own words.
    """
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except FileNotFoundError:
        raise ConfigError(
            f"hydra/launcher=slurm: {missing_programs() or f'{command[0]} cannot be run'}; {REMEDY}"
        ) from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{command[0]} has not answered for 2 minutes") from None
    if asked.returncode:
        raise ConfigError(" ".join(asked.stderr.split()) or f"{command[0]} ended with {asked.returncode}")
    return asked.stdout


def max_array_size(shown: str) -> int:
    """The cluster's MaxArraySize, out of what `scontrol show config` shows; Slurm's default where it is missing."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", shown, re.MULTILINE)
    return int(found[1]) if found else 1001


def live_jobs() -> set[str]:
    """Ids of the user's waiting and running jobs, an array's as `12_3`. Raises ConfigError as `ask` does.

    A cancelled job that is still completing is none of them; one that completes in order to wait again is.
    """
    states = "--states=PENDING,RUNNING,SUSPENDED"
    return set(ask("squeue", "--me", "--noheader", "--array", states, "--format=%i").split())


def ranges(ids: Iterable[str]) -> str:
    """Job ids as they are read, given in order: `12_[0-3], 14`."""
    last: dict[str, list[str]] = {}
    for job in ids:
        array, _, index = job.partition("_")
        last.setdefault(array, []).append(index)
    return ", ".join(
        array if indices == [""] else f"{array}_[{indices[0]}-{indices[-1]}]" for array, indices in last.items()
    )


class Watched:
    """Jobs whose end is awaited.

    Args:
        jobs: their ids.
    """

    def __init__(self, jobs: set[str]):
        self.jobs = jobs
        self.next_look = 0.0
        self.missed = 0

    def gone(self) -> bool:
        """Whether none is left: missing at two looks, `POLL_S` apart, so that their last files have arrived."""
        if time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + POLL_S
            try:
                self.missed = 0 if self.jobs & live_jobs() else self.missed + 1
            except ConfigError as error:  # a controller that restarts is no end of the jobs
                log.warning("squeue: %s", error)
        return self.missed >= 2
