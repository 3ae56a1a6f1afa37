import time
from pathlib import Path
from types import SimpleNamespace

from helpers.processes import stub

from memlaw.doctor import storage


def test_a_directory_is_written_to_before_it_exists_and_left_as_it_was(tmp_path, monkeypatch):
    assert storage.directory("runs", tmp_path / "a/b", 0, chosen_by="runs_dir").level == "green"
    assert list(tmp_path.iterdir()) == []
    free = storage.shutil.disk_usage(tmp_path).free / 1e9
    assert storage.directory("runs", tmp_path, 2 * free, chosen_by="runs_dir").level == "yellow"
    assert storage.directory("runs", tmp_path, 20 * free, chosen_by="runs_dir").level == "red"
    refused = storage.directory("runs", Path("/proc/none"), 0, chosen_by="runs_dir")
    assert (refused.level, "cannot be written" in refused.finding) == ("red", True)
    assert refused.remedy == "choose another: runs_dir"


def test_the_clock_is_the_file_systems(tmp_path, monkeypatch, path):
    assert storage.clock(tmp_path).level == "green"
    stub(path, "timedatectl", "echo no")
    assert storage.clock(tmp_path).level == "yellow"
    stub(path, "timedatectl", "echo yes")
    assert storage.clock(tmp_path).level == "green"
    for skew, level in ((-30, "yellow"), (600, "red")):
        monkeypatch.setattr(storage, "time", SimpleNamespace(time=lambda skew=skew: time.time() + skew))
        assert storage.clock(tmp_path).level == level
