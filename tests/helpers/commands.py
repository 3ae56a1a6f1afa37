"""Commands, called in this process: that is quicker than a process, and what tests have patched holds."""

import sys
from dataclasses import dataclass
from types import ModuleType

import pytest


@dataclass(frozen=True)
class Called:
    """How a command ended, in the names of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr


def call_main(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], module: ModuleType, *arguments: object
) -> Called:
    """Call a command's `main` with the words that follow its name."""
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    code: object = 0
    try:
        module.main()
    except SystemExit as ended:
        code = ended.code or 0
    printed = capsys.readouterr()
    assert isinstance(code, int), code
    return Called(code, printed.out, printed.err)
