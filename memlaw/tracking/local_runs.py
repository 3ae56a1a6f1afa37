"""W&B's runs in a study's directory: which there are, what the server has of them, and what their logs say."""

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
    """What a log says.

    Attributes:
        project, entity: of the run; empty where the log has none.
        ended: whether a done cell's end is in it with its summary, and all before that can be read.
    """

    project: str
    entity: str
    ended: bool


def read_log(path: Path) -> Log:
    """Let W&B read a log as far as it goes; what it cannot read has no project and no end.

    Raises:
        OSError, subprocess.TimeoutExpired: W&B does not run.
    """
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--summary", "--json", str(path)]
    files = {"WANDB_DIR": str(path.parents[2])}  # what W&B's command notes of itself goes to the study
    told = subprocess.run(command, env={**files, **os.environ}, capture_output=True, text=True, timeout=TIMEOUT_S)
    try:
        said = json.loads(told.stdout)
    except ValueError:
        return Log("", "", False)
    whole = "corrupt data" not in told.stderr and "steps_trained" in said["summary"]
    return Log(said["project"], said["entity"], whole and said["exit_code"] is not None)


@dataclass(frozen=True)
class LocalRun:
    """A run in a study's directory.

    Attributes:
        id: see `memlaw.tracking.contents.run_id`.
        directories: one for each time that the run was begun, the latest last; that one holds the whole history,
            because a cell that goes on logs again what came before. None for a run that was never written. Of one
            second, that which is offline is the later: it stands in for one that no server took.
    """

    id: str
    directories: tuple[Path, ...]

    @property
    def changed(self) -> bool:
        """Whether W&B's mark of an upload is missing, or older than what it stands for."""
        if not self.directories:
            return True
        mark, log = self.mark(self.directories[-1]), self.log(self.directories[-1])
        return not mark.exists() or mark.stat().st_mtime < log.stat().st_mtime

    @property
    def ended(self) -> bool:
        """Whether the latest log is that of a done cell to the end."""
        return bool(self.directories) and read_log(self.log(self.directories[-1])).ended

    def log(self, directory: Path) -> Path:
        """W&B's log in one of the directories."""
        return directory / f"run-{self.id}.wandb"

    def mark(self, directory: Path) -> Path:
        """The empty file that `wandb sync` leaves beside what it uploaded."""
        return directory / f"run-{self.id}.wandb.synced"


def local_runs(study: Path) -> list[LocalRun]:
    """The runs in a study's directory, by id."""
    found = defaultdict(list)
    for log in study.glob("wandb/*run-*/run-*.wandb"):
        found[log.stem.removeprefix("run-")].append(log.parent)
    return [
        LocalRun(name, tuple(sorted(own, key=lambda path: path.name.split("run-")[::-1])))
        for name, own in sorted(found.items())
    ]
