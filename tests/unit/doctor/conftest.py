"""Shared by the tests of checks: an empty PATH."""

from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path, monkeypatch) -> Path:
    """An empty PATH to put stubs into."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "cat").symlink_to("/bin/cat")
    monkeypatch.setenv("PATH", str(directory))
    return directory
