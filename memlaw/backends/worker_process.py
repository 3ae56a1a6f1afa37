"""What runs inside a local worker process: it takes its device from its launcher, trains packs and ends with it."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from omegaconf import DictConfig

from memlaw.study.cell import Cell

Environment = dict[str, str]
"""The variables that give a worker its device."""

LAST_STEP_S = 60.0
"""How long a worker whose launcher was killed may take to end its step and write checkpoints."""


def start_worker(environment: Environment, log_file: Path) -> ProcessPoolExecutor:
    """Return an executor of one fresh process, which prints into a file.

    Args:
        environment: variables of the process, set before it imports torch.
        log_file: the file, to which it appends.
    """
    return ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(environment, log_file, os.getpid())
    )


def _prepare(environment: Environment, log_file: Path, parent: int) -> None:
    """Set up a fresh worker process before it imports torch."""
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the launcher's to handle, also where the whole group gets them
    stream = log_file.open("a", buffering=1, encoding="utf-8")
    os.dup2(stream.fileno(), sys.stdout.fileno())
    os.dup2(stream.fileno(), sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=stream, force=True)
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: int) -> None:
    """End this process once its launcher is gone, whatever ended it; write checkpoints if that does not hang."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_STEP_S)
    os._exit(1)


def train(cells: Sequence[Cell], settings: DictConfig, environment: Environment) -> None:
    """Train a pack on the worker's device.

    Args:
        cells: the pack.
        settings: see `memlaw.training.pack.train_pack`.
        environment: that of the worker; where it names a GPU, that is the only one the process sees.
    """
    from memlaw.training.pack import train_pack

    if "CUDA_VISIBLE_DEVICES" in environment and settings.trainer.device != "cpu":
        settings = settings.copy()
        settings.trainer.device = "cuda"
    train_pack(cells, settings)
