"""Shared by all tests: composed configs, tiny cells, and the command line run as a user runs it."""

import os
import tempfile

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models; workers of pytest-xdist share the cores
os.environ["TRACKIO_DIR"] = tempfile.mkdtemp(prefix="trackio-")  # Trackio reads it once, when it is imported

import importlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from helpers.commands import Called, call_main
from helpers.configs import TINY, composed
from helpers.processes import python
from helpers.wandb_server import WandbServer
from hypothesis import settings
from omegaconf import DictConfig

from memlaw.planning.cells import compose_cell
from memlaw.study.cell import Cell

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell without job control
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("no deadline", deadline=None)  # machines that run tests are busy ones
settings.load_profile("no deadline")


def pytest_unconfigure() -> None:
    """Remove what tests of this process left for Trackio."""
    shutil.rmtree(os.environ["TRACKIO_DIR"], ignore_errors=True)


@pytest.fixture(autouse=True)
def no_shared_state() -> None:
    """A test, and the processes that it starts, have W&B's process, settings and directory of their own.

    Nor do they show tracebacks because a command in an earlier test asked Hydra for them.
    """
    if "wandb" in sys.modules:
        sys.modules["wandb"].teardown()
    for name in ("WANDB_SERVICE", "WANDB_DATA_DIR", "HYDRA_FULL_ERROR"):
        os.environ.pop(name, None)


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., tuple[Cell, DictConfig]]:
    """Make a tiny cell under `tmp_path`, and the config that it came from."""

    def make(*overrides: str) -> tuple[Cell, DictConfig]:
        cfg = composed(*TINY, *overrides)
        cfg.runs_dir = f"{tmp_path}/runs"
        return compose_cell(cfg), cfg

    return make


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m memlaw.train` with the given arguments in `tmp_path`."""

    return partial(python, "-m", "memlaw.train", cwd=tmp_path)


@pytest.fixture(scope="session")
def call() -> Callable[..., Called]:
    """Run a command in this process."""
    return call_main


@pytest.fixture
def refused(tmp_path: Path, monkeypatch, call) -> Callable[..., str]:
    """Run `memlaw.train` in this process and in `tmp_path`; what it ends with, if that is one line and exit code 2."""

    def run(*arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        ended = call(importlib.import_module("memlaw.train"), *arguments)
        assert ended.returncode == 2
        assert ended.stderr.startswith("Configuration error: ") and ended.stderr.count("\n") == 1
        assert "Traceback" not in ended.stdout
        return ended.stderr.removeprefix("Configuration error: ").rstrip()

    return run


@pytest.fixture
def server() -> Iterator[WandbServer]:
    """A W&B server on loopback."""
    running = WandbServer()
    yield running
    running.stop()
