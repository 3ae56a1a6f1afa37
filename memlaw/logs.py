"""Show the log lines of a cell, and its traceback: `memlaw logs runs/STUDY CELL`. Write nothing."""

import argparse
import sys
from pathlib import Path

from memlaw.core.output import reader_may_leave
from memlaw.screens.causes import cause
from memlaw.study.liveness import DEAD
from memlaw.study.status import DONE
from memlaw.study.survey import NoStudy, Observation, find_cell, survey_study

LOG_FOLDERS = ("logs", "slurm")
"""Folders of a study with the logs of local workers and of Slurm jobs."""

LOG_SUFFIXES = (".log", ".out", ".err")
STAMP = len("2026-01-31 23:59:59,123")
"""Characters of the time that a log line begins with."""


def log_lines(study: Path, name: str) -> list[str]:
    """Return the lines of the study's logs that name a cell, ordered by time."""
    files = sorted(
        path for folder in LOG_FOLDERS for path in (study / folder).rglob("*") if path.suffix in LOG_SUFFIXES
    )
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    return sorted((line for text in texts for line in text.splitlines() if name in line), key=lambda line: line[:STAMP])


def report(study: Path, observation: Observation) -> str:
    """Return a cell's log lines, its state with the cause, and the traceback of a failure."""
    lines = log_lines(study, observation.name) or [f"The logs below {study} do not name this cell."]
    why = "" if observation.status.cause is None and observation.state != DEAD else f": {cause(study, observation)}"
    when = f", since {observation.status.updated}" if observation.status.updated else ""
    lines += ["", f"{observation.name} is {observation.state}{when}{why}"]
    if observation.state != DONE and observation.status.traceback:
        lines += ["", observation.status.traceback.rstrip()]
    return "\n".join(lines)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="memlaw logs", description=__doc__)
    parser.add_argument("study", type=Path, help="directory of the study, runs/<study>")
    parser.add_argument("cell", help="a cell's name, its hash, or a part of its name that no other cell has")
    options = parser.parse_args()
    try:
        observations = {observation.name: observation for observation in survey_study(options.study)}
        with reader_may_leave():
            print(report(options.study, observations[find_cell(list(observations), options.cell)]))
    except NoStudy as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
