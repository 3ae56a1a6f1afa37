"""The outcome of a check: one line, and a remedy."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["green", "yellow", "red"]


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Attributes:
        check: the subject, in a word or two.
        level: green: fine; yellow: works, with a loss that the finding names; red: a sweep will fail.
        finding: the result, in one line.
        remedy: an action for the user; empty when green.
    """

    check: str
    level: Level
    finding: str
    remedy: str = ""
