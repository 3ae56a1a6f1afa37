import contextlib
import ctypes
import errno
import os
import shutil
from pathlib import Path

import pytest

from memlaw.core import files
from memlaw.core.files import atomic_path, remove_unfinished, write_json, write_text


def write_directory(target: Path, text: str) -> None:
    with atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "inner").mkdir()
        (temporary / "inner" / "file").write_text(text)


@pytest.fixture(params=["renameat2", "step aside"])
def exchange(request, monkeypatch) -> None:
    """Both ways to let directories trade names."""
    if request.param == "step aside":
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())


@pytest.mark.usefixtures("exchange")
def test_a_directory_replaces_a_directory(tmp_path: Path):
    target = tmp_path / "adapter"
    for text in ("old", "new"):
        write_directory(target, text)
    assert (target / "inner" / "file").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_crash_at_any_moment_leaves_the_old_directory_or_the_new_one(tmp_path: Path, monkeypatch):
    """Every call that changes names or removes something is the last one before the crash."""
    target = tmp_path / "adapter"

    class Crash(BaseException):
        pass

    for moment in range(3):
        shutil.rmtree(target, ignore_errors=True)
        write_directory(target, "old")
        calls = []

        def crashing(original, calls=calls, moment=moment):
            def call(*arguments, **named):
                calls.append(original)
                if len(calls) > moment:
                    raise Crash
                return original(*arguments, **named)

            return call

        with monkeypatch.context() as patched:
            patched.setattr(files, "_exchange", crashing(files._exchange))
            patched.setattr(shutil, "rmtree", crashing(shutil.rmtree))
            patched.setattr(Path, "replace", crashing(Path.replace))
            with contextlib.suppress(Crash):
                write_directory(target, "new")
        assert (target / "inner" / "file").read_text() in ("old", "new")


def test_what_goes_wrong_leaves_the_target_and_nothing_else(tmp_path: Path):
    target = tmp_path / "file"
    write_text(target, "old")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(target, float("nan"))

    def break_off() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_everything_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch):
    target, synced = tmp_path / "adapter", []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        assert not target.exists()
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    write_directory(target, "new")
    assert {"file", "inner"} <= set(synced)


def test_a_disk_that_is_full_when_synced_leaves_the_target(tmp_path: Path, monkeypatch):
    target = tmp_path / "adapter"
    write_directory(target, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_directory(target, "new")
    assert (target / "inner" / "file").read_text() == "old"


def test_what_a_killed_process_left_is_removed(tmp_path: Path):
    (tmp_path / ".adapter.12345678.tmp").mkdir()
    (tmp_path / ".result.json.12345678.tmp").write_text("half")
    (tmp_path / "result.json").write_text("whole")
    remove_unfinished(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_the_working_directory_can_be_replaced(tmp_path: Path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with atomic_path(Path()) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert (tmp_path / "here/new").exists()
