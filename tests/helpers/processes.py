"""Processes that tests start, and waiting for them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
PATIENCE_S = 1200
"""How long tests wait for what an idle machine does in seconds, before they take it that it never comes."""


def python(*words: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these words behind it, in this process's environment and `environment`; its code and output."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "160"} | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )


def stub(directory: Path, name: str, script: str) -> None:
    """A shell script that stands for a command, once `directory` is on PATH."""
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)


def wait_for(condition: Callable[[], T], told: Callable[[], object] = lambda: "waited in vain") -> T:
    """What the condition gives, once it gives something; fails with what is `told` when it does not."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, told()
        time.sleep(0.1)
    return found


def has_ended(pid: int) -> bool:
    """Whether a process is gone, be it that nobody has asked for its exit code."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
