from pathlib import Path

import pytest

from memlaw.core.errors import ConfigError
from memlaw.core.paths import cache_dir


def test_the_cache_is_where_its_variable_says_else_in_the_home_directory(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("MEMLAW_CACHE", str(tmp_path / "cache"))
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("MEMLAW_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_dir() == tmp_path / ".cache/memlaw"


def test_a_user_without_a_home_is_told_the_variable(monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("MEMLAW_CACHE", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(ConfigError, match="set MEMLAW_CACHE"):
        cache_dir()
