"""Disks that are full, read-only or unreadable cost one line and exit code 2; nothing half-written is left."""

import errno
import os
from pathlib import Path

import pytest
from helpers.studies import write_study
from memlaw_analysis.commands import advise, export, publish, report
from memlaw_analysis.tables import studies

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "study", lengths=(512,))


def full_after(monkeypatch: pytest.MonkeyPatch, files: int) -> None:
    """Let the disk be full once so many files and directories were written."""
    fsync, count = os.fsync, 0

    def sync(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count > files:
            raise FULL
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sync)


@pytest.mark.parametrize("files", [0, 3, 12])
def test_a_full_disk_leaves_the_old_report_or_none(study: Path, monkeypatch, call, files: int):
    old = study / "report/report.html"
    old.parent.mkdir()
    old.write_text("old")
    full_after(monkeypatch, files)
    for target in (study / "report", study.parent / "new"):
        code, out, errors = call(report, study, "--out", target)
        assert (code, out) == (2, "")
        assert "No space left on device" in errors
        assert len(errors.splitlines()) == 1
    assert [path.name for path in old.parent.iterdir()] == ["report.html"]
    assert old.read_text() == "old"
    assert [path.name for path in study.parent.iterdir()] == ["study"]


def test_a_full_disk_leaves_no_half_of_a_table(study: Path, monkeypatch, call):
    full_after(monkeypatch, 0)
    for option, target in (("--out", "cells.csv"), ("--out", "cells.parquet"), ("--keep", "kept")):
        code, _, errors = call(export, study, option, study.parent / target)
        assert (code, len(errors.splitlines())) == (2, 1), errors
    left = [path for path in study.parent.rglob("*") if path.is_file() and study not in path.parents]
    assert left == []


@pytest.mark.parametrize("command", [report, export])
def test_a_file_system_that_takes_no_files_is_named(study: Path, call, command):
    target = Path("/proc/memlaw/cells.csv" if command is export else "/proc/memlaw/report")
    code, _, errors = call(command, study, "--out", target)
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "/proc/memlaw" in errors


def test_a_study_that_cannot_be_read_is_one_line(study: Path, monkeypatch, call):
    def denied(root: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(root))

    monkeypatch.setattr(studies, "read_results", denied)
    for command, *arguments in ((report,), (advise, "--rank", 4), (export, "--out", study.parent / "cells.csv")):
        code, _, errors = call(command, study, *arguments)
        assert (code, len(errors.splitlines())) == (2, 1)
        assert "Permission denied" in errors
    assert not (study / "report").exists()


def test_a_written_report_that_was_damaged_is_named(study: Path, call):
    assert call(report, study)[0] == 0
    (study / "report/law.json").write_text('{"fitted": tr')
    code, out, _ = call(report, study, "--check")
    assert (code, "law.json is damaged" in out) == (1, True)
    code, _, errors = call(publish, study, "--mode=offline")
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "write it again: memlaw report" in errors
    (study / "report/law.json").unlink()
    assert "law.json is missing" in call(report, study, "--check")[1]
