"""Packs in warm local worker processes, one per device; a worker that dies is replaced."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

from filelock import Timeout
from omegaconf import DictConfig

from memlaw.backends.backend import Backend, Handle
from memlaw.backends.worker_process import Environment, start_worker, train
from memlaw.core.errors import CellError, ConfigError
from memlaw.planning.planned import Plan
from memlaw.study.cell import Cell

if TYPE_CHECKING:
    from memlaw.planning.machine import Machine

log = logging.getLogger(__name__)

ENDING = (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP)
"""Signals that end a launcher as Ctrl-C does; its workers get SIGTERM from it."""


class Workers(Backend):
    """Trains packs in worker processes; each worker takes the next pack when it is free.

    Args:
        workers: `auto` (one per visible GPU, else one), or how many.
    """

    def __init__(self, workers: str | int):
        self._environments = cache(partial(worker_environments, workers))

    def machine(self, cfg: DictConfig) -> "Machine":
        """See `Backend`."""
        from memlaw.planning.machine import Machine

        return Machine.here(cfg.trainer.device, len(self._environments(cfg.trainer.device)))

    @contextmanager
    def submit(self, plan: Plan, settings: DictConfig) -> Iterator[Handle]:
        """See `Backend`. What worker n prints goes to `logs/worker-n.log` in the study's directory."""
        packs = [pack.cells for pack in plan.packs]
        environments = self._environments(settings.trainer.device)[: len(packs)]
        log_dir = packs[0][0].study / "logs"
        log_dir.mkdir(parents=True, exist_ok=True)
        waiting: SimpleQueue[list[Cell]] = SimpleQueue()
        for cells in packs:
            waiting.put(cells)
        stopping = threading.Event()
        with _signals_raised(), ThreadPoolExecutor(len(environments)) as threads:
            feeders = [
                _Feeder(waiting, stopping, settings, environment, log_dir / f"worker-{index}.log")
                for index, environment in enumerate(environments)
            ]
            loops = [threads.submit(feeder.run) for feeder in feeders]
            try:
                yield _Loops([cell for cells in packs for cell in cells], loops)
            except BaseException:
                stopping.set()
                _stop_workers(loops)
                raise
            for loop in loops:
                loop.result()


def worker_environments(workers: str | int, device: str) -> list[Environment]:
    """Give each worker a GPU of its own, or a share of the CPU's cores.

    Args:
        workers: `auto` (one per visible GPU, else one), or how many.
        device: `trainer.device`; one GPU by its index is one worker.

    Raises:
        ConfigError: more workers than GPUs.
    """
    import torch

    from memlaw.models.devices import resolve_device

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


class _Loops:
    """The handle: one loop per worker, on threads of this process."""

    def __init__(self, cells: Sequence[Cell], loops: Sequence[Future[None]]):
        self.cells = cells
        self.loops = loops

    def wait(self, seconds: float) -> bool:
        return not wait(self.loops, timeout=seconds).not_done


@dataclass(frozen=True)
class _Feeder:
    """Feeds one worker until no pack is left.

    Attributes:
        waiting: packs that no worker has taken yet.
        stopping: set when no further pack is to start.
        settings: see `memlaw.training.pack.train_pack`.
        environment: of the worker.
        log_file: what the worker prints.
    """

    waiting: SimpleQueue[list[Cell]]
    stopping: threading.Event
    settings: DictConfig
    environment: Environment
    log_file: Path

    def run(self) -> None:
        """Train pack after pack; start another worker in place of one that died."""
        executor: ProcessPoolExecutor | None = None
        while not self.stopping.is_set():
            try:
                cells = self.waiting.get_nowait()
            except Empty:
                break
            executor = executor or start_worker(self.environment, self.log_file)
            try:
                executor.submit(train, cells, self.settings, self.environment).result()
            except Exception as error:  # the worker died, or could not even report what went wrong
                executor.shutdown(wait=False)
                executor = None
                if not self.stopping.is_set():
                    self._retry_or_fail(cells, error)
        if executor:
            executor.shutdown()

    def _retry_or_fail(self, cells: Sequence[Cell], error: Exception) -> None:
        """Put back the halves of a pack whose worker died, likely for lack of memory; fail a cell that was alone.

        Cells that have ended, and those that another process is training, stay as they are.
        """
        left = [cell for cell in cells if not cell.status.ended]
        died = isinstance(error, BrokenProcessPool)
        if died and len(left) > 1:
            log.warning("a worker process died with %d cells in its pack (out of memory?); halving it", len(left))
            middle = (len(left) + 1) // 2
            self.waiting.put(left[:middle])
            self.waiting.put(left[middle:])
            return
        killed = CellError(f"its worker process died (killed, or out of memory); see {self.log_file}")
        for cell in left:
            try:
                with cell.lock().acquire(timeout=0):
                    if not cell.status.ended:  # nobody has trained it meanwhile
                        cell.fail(killed if died else error)
            except Timeout:
                continue


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


def _stop_workers(loops: Sequence[Future[None]]) -> None:
    """Let workers write their checkpoints and end; a second Ctrl-C kills them.

    A worker that is just being started may not be listed yet, so look again until all loops have ended.
    """
    stop = BaseProcess.terminate
    stopped: set[int | None] = set()
    log.warning("interrupted: workers write checkpoints after the step they are in; Ctrl-C again kills them")
    while True:
        try:
            for process in multiprocessing.active_children():
                if process.pid not in stopped:
                    stop(process)
                    stopped.add(process.pid)
            if not wait(loops, timeout=0.5).not_done:
                return
        except KeyboardInterrupt:
            stop, stopped = BaseProcess.kill, set()
