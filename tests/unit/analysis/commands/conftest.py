"""Commands run in the test's own process."""

import contextlib
import io
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def call() -> Call:
    """Run a command's `main` with arguments: its exit code, what it printed, and its errors."""

    def run(command: ModuleType, *arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        code: object = 0
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.setattr(sys, "argv", [command.__name__, *map(str, arguments)])
            try:
                command.main()
            except SystemExit as end:
                code = end.code
        assert isinstance(code, int | None), code
        return code or 0, out.getvalue(), err.getvalue()

    return run
