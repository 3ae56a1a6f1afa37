"""Uploads one run of a study to W&B: from its log, or from the cell's records where the log has no end."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from filelock import Timeout

from memlaw.study.cell import Cell
from memlaw.tracking.contents import run_id
from memlaw.tracking.from_records import write_run
from memlaw.tracking.local_runs import LocalRun, local_runs, read_log
from memlaw.tracking.mode import wandb_settings
from memlaw.tracking.wandb_service import WandbService

PROJECT = "memlaw"
"""Project of a run when no log of the study names one: the default of `logger.project`."""


class Outcome(NamedTuple):
    """The result of an upload.

    Attributes:
        text: for the user.
        failed: whether the server lacks something of the run that an upload should have brought.
    """

    text: str
    failed: bool = False


UPLOADED = Outcome("uploaded")
UNCHANGED = Outcome("unchanged")
IN_TRAINING = Outcome("still training")
UNFINISHED = Outcome("skipped: the cell is not finished; train it and run sync again, or use --unfinished")
INCOMPLETE = Outcome("uploaded as far as its log can be read", failed=True)
FROM_RECORDS = Outcome("written from the records and uploaded")

_writing = threading.Lock()  # one run is written at a time: a process has one W&B service and one set of settings


@dataclass(frozen=True)
class Uploader:
    """Uploads runs of a study.

    Attributes:
        study: the study's directory, with the files of artifacts that are not uploaded yet.
        arguments: further ones of `wandb sync`.
        timeout_s: seconds after which an upload is given up.
    """

    study: Path
    arguments: Sequence[str]
    timeout_s: float

    def upload(self, run: LocalRun) -> Outcome:
        """Upload a run's log with `wandb sync`.

        It appends to the rest of an interrupted upload; equal steps then have equal values.

        Returns:
            `UPLOADED`, `INCOMPLETE` or a failure.
        """
        latest = run.directories[-1]
        run.mark(latest).unlink(missing_ok=True)  # W&B writes it anew once the whole run is uploaded
        options = ("--yes", "--include-online", "--include-synced", *self.arguments)
        command = [sys.executable, "-m", "wandb", "sync", *options, str(latest)]
        environment = _environment(self.study)
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            return Outcome(f"not uploaded within {self.timeout_s:g} s", failed=True)
        output = done.stdout + done.stderr
        whole = run.mark(latest).exists()
        incomplete = not whole and "incomplete record" in output  # W&B uploads what it can read, and leaves no mark
        if done.returncode or not (whole or incomplete):
            errors = [line.strip() for line in output.splitlines() if "rror" in line or "ailed" in line]
            return Outcome(errors[-1] if errors else "wandb sync did not complete it", failed=True)
        _mark_all(run)
        return INCOMPLETE if incomplete else UPLOADED

    def upload_finished(self, run: LocalRun, cell: Cell) -> Outcome:
        """Upload the run of a finished cell; write it anew from the cell's records unless its log has the run's end.

        Returns:
            `UPLOADED`, `FROM_RECORDS`, `IN_TRAINING` or a failure.
        """
        if run.ended:
            return self.upload(run)
        try:
            with _writing, cell.lock().acquire(timeout=0):
                project, entity = made_for(run, self.study)
                directory = write_run(
                    cell, WandbService("offline", project, entity, timeout_s=self.timeout_s, stagger_s=0)
                )
        except Timeout:  # its process trains other cells of its pack, and may still be sending the rest
            return IN_TRAINING
        except Exception as error:  # errors of files and of W&B, whose errors have no common class
            cause = _first_line(str(error)) or type(error).__name__
            return Outcome(f"its log has no end, and writing it from the records fails: {cause}", failed=True)
        outcome = self.upload(LocalRun(run_id(cell), (directory,)))
        if outcome != UPLOADED:
            return outcome
        _mark_all(run)
        return FROM_RECORDS


def made_for(run: LocalRun, study: Path) -> tuple[str, str | None]:
    """Find project and entity of a run in its own logs, else in others of the study; entity None is the account's."""
    others = (other.log(other.directories[-1]) for other in local_runs(study))
    for path in (*(run.log(directory) for directory in reversed(run.directories)), *others):
        log = read_log(path)
        if log.project:
            return log.project, log.entity or None
    return PROJECT, None


def _mark_all(run: LocalRun) -> None:
    """Mark all directories of a run as uploaded: the earlier ones are parts of the latest one."""
    for directory in run.directories:
        run.mark(directory).touch()


def _environment(study: Path) -> dict[str, str]:
    """Return the environment of `wandb sync`: this process's server and key, and W&B's files inside the study."""
    settings = wandb_settings()
    key = {"WANDB_API_KEY": settings.api_key} if settings.api_key else {}
    files = {"WANDB_DIR": str(study), "WANDB_DATA_DIR": str(study / "wandb" / "data")}
    return {**files, **os.environ, "WANDB_BASE_URL": settings.base_url, **key}


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
