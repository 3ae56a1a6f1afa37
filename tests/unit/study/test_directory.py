"""Where a study lies. Names that are refused are tested with the cells, in `test_cell`."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from memlaw.core.errors import ConfigError
from memlaw.study.directory import study_dir


def config(study: object, runs_dir: object):
    return OmegaConf.create({"study": study, "runs_dir": runs_dir})


def test_the_directory_is_absolute_and_below_the_home_directory_for_a_tilde(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert study_dir(config("a b", "runs")) == tmp_path / "runs/a b"
    assert study_dir(config("s", "~/runs")) == tmp_path / "home/runs/s"
    assert study_dir(config(2024, "/r")) == Path("/r/2024")


def test_a_path_leaves_room_for_the_files_of_its_cells():
    long = "/" + "/".join(["d" * 250] * 14)
    assert study_dir(config("s", long)).name == "s"
    with pytest.raises(ConfigError, match=r"^runs_dir=.* is longer than a path may be, 4096 bytes with its cells"):
        study_dir(config("s", long + "/" + "d" * 100))
