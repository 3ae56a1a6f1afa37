"""Warm worker processes, one per device, that train packs; a worker that dies is replaced."""

import logging
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import Timeout

from memlaw.errors import CellError, ConfigError

log = logging.getLogger(__name__)

Environment = dict[str, str]
"""What tells a worker its device."""

ENDING = (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP)
"""Signals that end a launcher as Ctrl-C does; its workers get SIGTERM from it."""

LAST_STEP_S = 60.0
"""How long a worker whose launcher was killed may take to end its step and write checkpoints."""


def worker_environments(workers: str | int, device: str) -> list[Environment]:
    """One environment per worker: a GPU of its own, or a share of the CPU's cores.

    Args:
        workers: `auto` (one per visible GPU, else one), or how many.
        device: `trainer.device`; one GPU by its index is one worker.

    Raises:
        ConfigError: more workers than GPUs.
    """
    import torch

    from memlaw.base_model import resolve_device

    chosen = resolve_device(device)
    if chosen.type == "cpu":
        count = 1 if workers == "auto" else int(workers)
        return [{"OMP_NUM_THREADS": str(max(1, torch.get_num_threads() // count))} for _ in range(count)]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(torch.cuda.device_count())))).split(",")
    if chosen.index is not None:
        visible = [visible[chosen.index]]
    count = len(visible) if workers == "auto" else int(workers)
    if count > len(visible):
        raise ConfigError(f"hydra.launcher.workers={count}, but there are {len(visible)} GPUs; each needs its own")
    return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in visible[:count]]


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
    with _signals_raised(), ThreadPoolExecutor(count) as threads:
        loops = [
            threads.submit(_serve, waiting, settings, environment, log_dir / f"worker-{index}.log", stopping)
            for index, environment in enumerate(environments[:count])
        ]
        try:
            follow(lambda seconds: _all_done(loops, seconds))
        except BaseException:
            stopping.set()
            _stop_workers(loops)
            raise
        for loop in loops:
            loop.result()


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Raise, once, what would end this process and leave its workers behind; what it ignores stays ignored."""
    came: list[int] = []

    def leave(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            log.warning("%s: the same command goes on with what is missing", signal.Signals(number).name)
            sys.exit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    ending = [number for number in ENDING if main and signal.getsignal(number) == signal.SIG_DFL]
    for number in ending:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ending:
            signal.signal(number, signal.SIG_DFL)


def _stop_workers(loops: list[Future[None]]) -> None:
    """Let workers write their checkpoints and end; a second Ctrl-C kills them.

    One that is just being started may not be there yet, so they are told until they are gone.
    """
    stop = BaseProcess.terminate
    told: set[int | None] = set()
    log.warning("interrupted: workers write checkpoints after the step they are in; Ctrl-C again kills them")
    while True:
        try:
            for process in multiprocessing.active_children():
                if process.pid not in told:
                    stop(process)
                    told.add(process.pid)
            if not wait(loops, timeout=0.5).not_done:
                return
        except KeyboardInterrupt:
            stop, told = BaseProcess.kill, set()


def _all_done(loops: list[Future[None]], seconds: float) -> bool:
    return not wait(loops, timeout=seconds).not_done


def _serve(
    waiting: "queue.SimpleQueue[list[Any]]",
    settings: Any,
    environment: Environment,
    path: Path,
    stopping: threading.Event,
) -> None:
    """Feed one worker until no pack is left; runs on a thread of the launcher's process."""
    executor = None
    while not stopping.is_set():
        try:
            pack = waiting.get_nowait()
        except queue.Empty:
            break
        executor = executor or _start(environment, path)
        try:
            executor.submit(_train, pack, settings, environment).result()
        except Exception as error:  # the worker died, or could not even say what went wrong
            executor.shutdown(wait=False)
            executor = None
            if not stopping.is_set():
                _retry_or_fail(pack, error, path, waiting)
    if executor:
        executor.shutdown()


def _start(environment: Environment, path: Path) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(environment, path, os.getpid())
    )


def _prepare(environment: Environment, path: Path, parent: int) -> None:
    """Set up a fresh worker process before it imports torch."""
    os.environ.update(environment)
    for number in (signal.SIGINT, signal.SIGUSR2, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the launcher's to handle, also where the whole group gets them
    stream = path.open("a", buffering=1, encoding="utf-8")
    os.dup2(stream.fileno(), sys.stdout.fileno())
    os.dup2(stream.fileno(), sys.stderr.fileno())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=stream, force=True)
    threading.Thread(target=_exit_with, args=(parent,), daemon=True).start()


def _exit_with(parent: int) -> None:
    """End this process when the launcher is gone, however it went; checkpoints are written if that does not hang."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(LAST_STEP_S)
    os._exit(1)


def _train(pack: list[Any], settings: Any, environment: Environment) -> None:
    from memlaw.pack import train_pack

    if "CUDA_VISIBLE_DEVICES" in environment and settings.trainer.device != "cpu":
        settings.trainer.device = "cuda"  # the only one that this process sees
    train_pack(pack, settings)


def _retry_or_fail(pack: list[Any], error: Exception, path: Path, waiting: "queue.SimpleQueue[list[Any]]") -> None:
    """Put back the halves of a pack whose worker died, likely for lack of memory; fail a cell that was alone.

    Finished cells, and those that another process is training, are left as they are.
    """
    left = [cell for cell in pack if not cell.status.ended]
    died = isinstance(error, BrokenProcessPool)
    if died and len(left) > 1:
        log.warning("a worker process died with %d cells in its pack (out of memory?); halving it", len(left))
        middle = (len(left) + 1) // 2
        waiting.put(left[:middle])
        waiting.put(left[middle:])
        return
    cause = CellError(f"its worker process died (killed, or out of memory); see {path}") if died else error
    for cell in left:
        try:
            with cell.lock().acquire(timeout=0):
                if not cell.status.ended:  # nobody has trained it meanwhile
                    cell.fail(cause)
        except Timeout:
            continue
