"""Checks the directories that a sweep writes to, their locks, and the clock."""

import shutil
import tempfile
import time
from pathlib import Path

from filelock import FileLock

from memlaw.doctor.programs import output_of
from memlaw.doctor.verdict import Level, Verdict

SKEW_S = 5.0
"""Difference of clocks in seconds above which the verdict is not green; heartbeats allow two minutes."""


def directory(check: str, path: Path, wanted_gb: float, *, chosen_by: str) -> Verdict:
    """Check that a directory, or the one to make it in, can be written and locked, and has space.

    Args:
        check: name of the verdict.
        path: of the directory.
        wanted_gb: free space below which the verdict is yellow; red below a tenth of it.
        chosen_by: the key or the variable that chooses it.
    """
    existing = _existing(path)
    try:
        with tempfile.TemporaryDirectory(prefix=".memlaw-doctor-", dir=existing) as trial, FileLock(f"{trial}/lock"):
            Path(trial, "file").write_bytes(b"x")
        free_gb = shutil.disk_usage(existing).free / 1e9
    except (OSError, NotImplementedError) as error:
        return Verdict(check, "red", f"{path} cannot be written and locked: {error}", f"choose another: {chosen_by}")
    finding = f"{path}: writable, {free_gb:.0f} GB free"
    if free_gb >= wanted_gb:
        return Verdict(check, "green", finding)
    level: Level = "yellow" if free_gb >= wanted_gb / 10 else "red"
    return Verdict(check, level, finding, f"make room: {wanted_gb:g} GB or more are comfortable")


def clock(runs: Path) -> Verdict:
    """Check that this machine's clock agrees with the file system of `runs`, whose times date heartbeats."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".memlaw-doctor-", dir=_existing(runs)) as file:
            skew = Path(file.name).stat().st_mtime - time.time()
    except OSError as error:
        return Verdict(
            "clock", "yellow", f"not compared with the file system: {error}", "mend the runs directory first"
        )
    return clock_verdict(skew, output_of("timedatectl", "show", "-p", "NTPSynchronized", "--value"))


def clock_verdict(skew_s: float, synchronized: str | None) -> Verdict:
    """Judge a clock.

    Args:
        skew_s: the file system's time minus this machine's, seconds.
        synchronized: what timedatectl prints, `yes` or `no`; None without it.
    """
    if abs(skew_s) > SKEW_S:
        level: Level = "red" if abs(skew_s) > 60 else "yellow"
        finding = f"{skew_s:+.0f} s between the file system and this machine: live cells may be taken for dead"
        return Verdict("clock", level, finding, "set both clocks by NTP")
    if synchronized is not None and synchronized.strip() == "no":
        return Verdict("clock", "yellow", "agrees with the file system, but is not set by NTP", "turn NTP on")
    return Verdict("clock", "green", "agrees with the file system")


def _existing(path: Path) -> Path:
    """Return the directory, or the nearest one above it that exists."""
    return next(directory for directory in (path, *path.resolve().parents) if directory.is_dir())
