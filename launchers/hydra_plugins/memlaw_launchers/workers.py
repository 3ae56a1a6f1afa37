"""Warm worker processes, one per device, that train packs; a worker that dies is replaced."""

import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

Environment = dict[str, str]
"""What tells a worker its device."""


def worker_environments(workers: str | int, device: str) -> list[Environment]:
    """One environment per worker: a GPU each, or a share of the CPU's cores.

    Args:
        workers: `auto` (one per visible GPU, else one), or how many.
        device: `trainer.device`.
    """
    import torch

    gpus = 0 if device == "cpu" else torch.cuda.device_count()
    count = max(gpus, 1) if workers == "auto" else int(workers)
    if gpus:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        return [{"CUDA_VISIBLE_DEVICES": visible[index % gpus]} for index in range(count)]
    threads = max(1, torch.get_num_threads() // count)
    return [{"OMP_NUM_THREADS": str(threads)} for _ in range(count)]


def train_packs(
    packs: Sequence[list[Any]],
    settings: Any,
    environments: Sequence[Environment],
    log_dir: Path,
    follow: Callable[[Callable[[float], bool]], None],
) -> None:
    """Train packs, each worker taking the next one when it is free.

    Args:
        packs: lists of `memlaw.cell.Cell`.
        settings: see `memlaw.pack.train_pack`.
        environments: one per worker.
        log_dir: what workers print goes to `worker-<n>.log` there.
        follow: called with a function that waits some seconds and says whether all packs are finished.
    """
    waiting: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
    for pack in packs:
        waiting.put(pack)
    count = min(len(environments), len(packs))
    log_dir.mkdir(parents=True, exist_ok=True)
    stopping = threading.Event()
    with ThreadPoolExecutor(count) as threads:
        loops = [
            threads.submit(_serve, waiting, settings, environment, log_dir / f"worker-{index}.log", stopping)
            for index, environment in enumerate(environments[:count])
        ]
        try:
            follow(lambda seconds: _all_done(loops, seconds))
        except BaseException:
            stopping.set()
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        for loop in loops:
            loop.result()


def _all_done(loops: list[Future[None]], seconds: float) -> bool:
    return not wait(loops, timeout=seconds).not_done


def _serve(
    waiting: "queue.SimpleQueue[list[Any]]",
    settings: Any,
    environment: Environment,
    log: Path,
    stopping: threading.Event,
) -> None:
    """Feed one worker until no pack is left; runs on a thread of the launcher's process."""
    executor = None
    while not stopping.is_set():
        try:
            pack = waiting.get_nowait()
        except queue.Empty:
            break
        executor = executor or _start(environment, log)
        try:
            executor.submit(_train, pack, settings).result()
        except BrokenProcessPool:
            executor = None
            if not stopping.is_set():
                _fail_unfinished(pack, log)
    if executor:
        executor.shutdown()


def _start(environment: Environment, log: Path) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(environment, log, os.getpid())
    )


def _prepare(environment: Environment, log: Path, parent: int) -> None:
    """Set up a fresh worker process before it imports torch."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's to handle
    stream = log.open("a", buffering=1, encoding="utf-8")
    os.dup2(stream.fileno(), sys.stdout.fileno())
    os.dup2(stream.fileno(), sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=stream, force=True)
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: int) -> None:
    """End this process when the launcher is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _train(pack: list[Any], settings: Any) -> None:
    from memlaw.pack import train_pack

    train_pack(pack, settings)


def _fail_unfinished(pack: list[Any], log: Path) -> None:
    from memlaw.cell import DONE, FAILED
    from memlaw.errors import CellError

    for cell in pack:
        if cell.state not in (DONE, FAILED):
            cell.fail(CellError(f"its worker process died (killed, or out of memory); see {log}"))
