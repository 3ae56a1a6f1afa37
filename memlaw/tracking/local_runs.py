"""W&B's runs in a study's directory: their logs, and whether these are uploaded."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

TIMEOUT_S = 120


class Log(NamedTuple):
    """The part of a log that uploads depend on.

    Attributes:
        project, entity: of the run; empty when the log names none.
        ended: whether the whole log can be read, and ends with the summary of a done cell.
    """

    project: str
    entity: str
    ended: bool


def read_log(path: Path) -> Log:
    """Let W&B read a log. A log that it cannot read has no project and no end.

    Raises:
        OSError, subprocess.TimeoutExpired: W&B does not run.
    """
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(path)]
    files = {"WANDB_DIR": str(path.parents[2])}  # W&B's command writes its own notes there
    done = subprocess.run(command, env={**files, **os.environ}, capture_output=True, text=True, timeout=TIMEOUT_S)
    try:
        content = json.loads(done.stdout)
    except ValueError:
        return Log("", "", False)
    whole = "corrupt data" not in done.stderr and "steps_trained" in content["summary"]
    return Log(content["project"], content["entity"], whole and content["exit_code"] is not None)


@dataclass(frozen=True)
class LocalRun:
    """A run in a study's directory.

    Attributes:
        id: see `memlaw.tracking.contents.run_id`.
        directories: one per attempt, in the order of their starts; none for a run that was never written. The latest
            holds the whole history, because a cell that goes on logs its earlier evaluations again. If two start in
            the same second, the offline one sorts last: it replaced a run that the server refused.
    """

    id: str
    directories: tuple[Path, ...]

    @property
    def changed(self) -> bool:
        """Whether W&B's mark of an upload is missing, or older than the log."""
        if not self.directories:
            return True
        mark, log = self.mark(self.directories[-1]), self.log(self.directories[-1])
        return not mark.exists() or mark.stat().st_mtime < log.stat().st_mtime

    @property
    def ended(self) -> bool:
        """Whether the latest log ends with the summary of a done cell."""
        return bool(self.directories) and read_log(self.log(self.directories[-1])).ended

    def log(self, directory: Path) -> Path:
        """Return the path of W&B's log in one of the directories."""
        return directory / f"run-{self.id}.wandb"

    def mark(self, directory: Path) -> Path:
        """Return the path of the empty file that `wandb sync` leaves beside an uploaded log."""
        return directory / f"run-{self.id}.wandb.synced"


def local_runs(study: Path) -> list[LocalRun]:
    """List the runs in a study's directory, by id."""
    directories = defaultdict(list)
    for log in study.glob("wandb/*run-*/run-*.wandb"):
        directories[log.stem.removeprefix("run-")].append(log.parent)
    return [
        LocalRun(name, tuple(sorted(paths, key=lambda path: path.name.split("run-")[::-1])))
        for name, paths in sorted(directories.items())
    ]
