"""What a check found: one line, and what to do about it."""

import shutil
import subprocess
from dataclasses import dataclass
from typing import Literal

Level = Literal["green", "yellow", "red"]


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Attributes:
        check: what was looked at, in a word or two.
        level: green: fine; yellow: works, with a loss that the finding names; red: a sweep will fail.
        finding: what was found, in one line.
        remedy: what to do; empty when green.
    """

    check: str
    level: Level
    finding: str
    remedy: str = ""


def answer(*command: str, timeout_s: float = 20) -> str | None:
    """What a program prints; None when it is not there, fails or does not answer in time."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
