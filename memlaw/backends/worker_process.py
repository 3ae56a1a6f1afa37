"""Train packs inside a local worker process, which has its device from its launcher and ends with the launcher."""

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
"""The environment variables that give a worker its device."""

LAST_STEP_S = 60.0
"""Time in which a worker whose launcher was killed may end its step and write checkpoints."""


def start_worker(environment: Environment, log_file: Path) -> ProcessPoolExecutor:
    """Return an executor with a new process that prints into a file.

    Args:
        environment: variables of the process, set before it imports torch.
        log_file: file to which its output is appended.
    """
    return ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(environment, log_file, os.getpid())
    )


def _prepare(environment: Environment, log_file: Path, parent: int) -> None:
    """Set up a new worker process before it imports torch."""
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the launcher handles them, even if the whole process group gets them
    stream = log_file.open("a", buffering=1, encoding="utf-8")
    os.dup2(stream.fileno(), sys.stdout.fileno())
    os.dup2(stream.fileno(), sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=stream, force=True)
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: int) -> None:
    """End this process once its launcher is gone. Let training write checkpoints unless that takes too long."""
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
        environment: variables of the worker. If they name a GPU, the process sees no other GPU.
    """
    from memlaw.training.pack import train_pack

    if "CUDA_VISIBLE_DEVICES" in environment and settings.trainer.device != "cpu":
        settings = settings.copy()
        settings.trainer.device = "cuda"
    train_pack(cells, settings)
