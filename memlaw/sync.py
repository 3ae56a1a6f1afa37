"""`memlaw sync runs/STUDY`: upload those W&B runs of a study that the server lacks; run again, it goes on."""

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import Timeout

from memlaw.config.values import check_number, check_whole
from memlaw.core.errors import ConfigError, leave_interrupted, refuse
from memlaw.study.cell import Cell
from memlaw.study.liveness import DEAD
from memlaw.study.status import DONE, PENDING, RUNNING
from memlaw.study.survey import NoStudy, survey_study
from memlaw.tracking.contents import run_id
from memlaw.tracking.local_runs import LocalRun, local_runs, read_log
from memlaw.tracking.mode import check_name, own_settings
from memlaw.tracking.server import check_server

UPLOADED, UNCHANGED, IN_TRAINING = "uploaded", "unchanged", "still training"
UNFINISHED = "not uploaded: its cell is to be trained on, and the whole run comes then"
BREAKS_OFF = "uploaded as far as it goes: its log breaks off"
FROM_RECORDS = "written from the records and uploaded"
GOOD = (UPLOADED, UNCHANGED, IN_TRAINING, UNFINISHED, FROM_RECORDS)

PROJECT = "memlaw"
"""Where runs go for which no log of the study says better: the default of `logger.project`."""


def upload(run: LocalRun, study: Path, arguments: Sequence[str], timeout_s: float) -> str:
    """Upload a run with `wandb sync`, which appends to what an interrupted upload left: equal values at equal steps.

    Args:
        run: the run.
        study: the study's directory, with the files that artifacts wait in.
        arguments: further ones of `wandb sync`.
        timeout_s: after which the upload is given up.

    Returns:
        `UPLOADED` or `BREAKS_OFF`, or why it failed.
    """
    latest = run.directories[-1]
    run.mark(latest).unlink(missing_ok=True)  # what W&B writes anew once all of it is uploaded
    options = ("--yes", "--include-online", "--include-synced", *arguments)
    command = [sys.executable, "-m", "wandb", "sync", *options, str(latest)]
    try:
        done = subprocess.run(command, env=_environment(study), capture_output=True, text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return f"not uploaded within {timeout_s:g} s"
    said = done.stdout + done.stderr
    whole = run.mark(latest).exists()
    breaks_off = not whole and "incomplete record" in said  # W&B uploads what can be read, and leaves no mark
    if done.returncode or not (whole or breaks_off):
        errors = [line.strip() for line in said.splitlines() if "rror" in line or "ailed" in line]
        return errors[-1] if errors else "wandb sync did not complete it"
    for directory in run.directories:  # the earlier ones are parts of what is uploaded now
        run.mark(directory).touch()
    return BREAKS_OFF if breaks_off else UPLOADED


def _environment(study: Path) -> dict[str, str]:
    """That of `wandb sync`: server and key as this process has them, and W&B's files with the study."""
    own = own_settings()
    key = {"WANDB_API_KEY": own.api_key} if own.api_key else {}
    files = {"WANDB_DIR": str(study), "WANDB_DATA_DIR": str(study / "wandb" / "data")}
    return {**files, **os.environ, "WANDB_BASE_URL": own.base_url, **key}


_writing = threading.Lock()  # runs are written one at a time: a process has one W&B service and one set of settings


def upload_finished(run: LocalRun, cell: Cell, study: Path, arguments: Sequence[str], timeout_s: float) -> str:
    """Upload the run of a finished cell, written anew from the cell's records unless its log has the run's end.

    Args:
        run, study, arguments, timeout_s: see `upload`.
        cell: the cell.

    Returns:
        `UPLOADED`, `FROM_RECORDS` or `IN_TRAINING`, or why it failed.
    """
    if run.ended:
        return upload(run, study, arguments, timeout_s)
    from memlaw.tracking.from_records import write_run
    from memlaw.tracking.wandb_service import WandbService

    try:
        with _writing, cell.lock().acquire(timeout=0):
            project, entity = made_for(run, study)
            written = write_run(cell, WandbService("offline", project, entity, timeout_s, 0))
    except Timeout:  # its process trains others of its pack, and may be telling W&B the rest
        return IN_TRAINING
    except Exception as error:  # of files and of W&B, which has no one class
        said = _first_line(str(error)) or type(error).__name__
        return f"W&B's log of it has no end, and writing it from the records fails: {said}"
    end = upload(LocalRun(run_id(cell), (written,)), study, arguments, timeout_s)
    if end != UPLOADED:
        return end
    for directory in run.directories:  # parts of what is uploaded now
        run.mark(directory).touch()
    return FROM_RECORDS


def made_for(run: LocalRun, study: Path) -> tuple[str, str | None]:
    """Project and entity of a run, as its own logs say, or one of the study's; an entity of None is the account's."""
    others = (own.log(own.directories[-1]) for own in local_runs(study))
    for path in (*(run.log(directory) for directory in reversed(run.directories)), *others):
        log = read_log(path)
        if log.project:
            return log.project, log.entity or None
    return PROJECT, None


def sync(
    study: Path, jobs: int, arguments: Sequence[str], timeout_s: float, unfinished: bool, again: bool
) -> Iterator[tuple[str, str]]:
    """Upload what is missing or changed, `jobs` runs at a time.

    A run of a cell that is to be trained on is left out unless `unfinished`: `wandb sync` appends, and the rest of the
    run would repeat its steps. That of a finished cell is made whole first. `again` uploads what was uploaded before,
    for a server or a project that does not have it.

    Yields:
        Each run's name and what became of it, in the order of the runs' ids.

    Raises:
        ConfigError: the server cannot be used.
        NoStudy: the directory is no study.
    """
    seen = {one.name.rpartition("-")[2]: one for one in survey_study(study)}
    known = local_runs(study)
    logged = {run.id.rpartition("-")[2] for run in known}
    unlogged = [
        LocalRun(run_id(one.cell), ())
        for cell_hash, one in seen.items()
        if one.cell and one.state == DONE and cell_hash not in logged
    ]
    runs = sorted((*known, *unlogged), key=lambda run: run.id)
    names = {run: seen.get(run.id.rpartition("-")[2]) for run in runs}
    training = {run for run, one in names.items() if one and one.state == RUNNING}
    early = {run for run, one in names.items() if one and one.state in (PENDING, DEAD) and not unfinished}
    changed = {run for run in names if again or run.changed} - training - early
    if changed:
        check_server()

    def uploaded(run: LocalRun) -> str:
        one = names[run]
        if one and one.cell and one.state == DONE:
            return upload_finished(run, one.cell, study, arguments, timeout_s)
        return upload(run, study, arguments, timeout_s)

    with ThreadPoolExecutor(jobs) as threads:
        uploads = {run: threads.submit(uploaded, run) for run in names if run in changed}
        try:
            for run, one in names.items():
                kept = IN_TRAINING if run in training else UNFINISHED if run in early and run.changed else UNCHANGED
                end = uploads[run].result() if run in uploads else kept
                yield one.name if one else run.id, end
        finally:
            threads.shutdown(cancel_futures=True)


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def main() -> None:
    """Command line entry."""
    parser = argparse.ArgumentParser(prog="memlaw sync", description=__doc__)
    parser.add_argument("study", type=Path, help="directory of the study, runs/<study>")
    parser.add_argument("--entity", help="W&B team or user; default: the one that the runs were made for")
    parser.add_argument("--project", help="W&B project; default: the one that the runs were made for")
    parser.add_argument("--jobs", type=int, default=4, help="uploads at a time (4)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds after which an upload is given up (600)")
    parser.add_argument(
        "--unfinished", action="store_true", help="upload runs of cells that are to be trained on as far as they go"
    )
    parser.add_argument(
        "--again", action="store_true", help="upload all runs, to a project or server other than where they are"
    )
    options = parser.parse_args()
    named = (("--entity", options.entity), ("--project", options.project))
    arguments = [word for flag, value in named if value for word in (flag, value)]
    ends: Counter[str] = Counter()
    try:
        check_whole("--jobs", options.jobs, at_least=1)
        check_number("--timeout", options.timeout, "a number above 0", lambda value: value > 0)
        for flag, value in named:
            if value is not None:
                check_name(flag, value)
        study = options.study.resolve()
        ends_of = sync(study, options.jobs, arguments, options.timeout, options.unfinished, options.again)
        for name, end in ends_of:
            good = end in GOOD or (options.unfinished and end == BREAKS_OFF)
            print(f"{name}: {end if good else f'failed: {end}'}", flush=True)
            ends[end.partition(":")[0] if good else "failed"] += 1
    except NoStudy as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except ConfigError as error:
        refuse(error)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is left to stop but W&B's own process, at the end
        leave_interrupted("Interrupted. The same command goes on with what is missing.")
    print(", ".join(f"{number} {end}" for end, number in ends.items()) or "no W&B runs in this study")
    sys.exit(1 if ends["failed"] else 0)


if __name__ == "__main__":
    main()
