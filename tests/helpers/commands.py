"""Commands, called in this process: that is quicker than a process, and what tests have patched holds."""

import contextlib
import io
import sys
from types import ModuleType
from typing import NamedTuple

import pytest


class Called(NamedTuple):
    """How a command ended, in the names of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr


def call_main(module: ModuleType, *arguments: object) -> Called:
    """Call a command's `main` with the words that follow its name."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        try:
            module.main()
        except SystemExit as ended:
            code = ended.code or 0
    assert isinstance(code, int), code
    return Called(code, out.getvalue(), err.getvalue())
