"""Train packs in local worker processes, one per device. A worker that dies is replaced."""

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

from omegaconf import DictConfig

from memlaw.backends.backend import Backend, Handle
from memlaw.backends.worker_process import Environment, start_worker, train
from memlaw.core.errors import CellError, ConfigError
from memlaw.planning.machine import Machine
from memlaw.planning.planned import Plan
from memlaw.study.cell import Cell

log = logging.getLogger(__name__)

ENDING = (signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP)
"""Signals that end a launcher as Ctrl-C does. The launcher sends SIGTERM to its workers."""


class Workers(Backend):
    """Trains packs in worker processes. A worker that is free takes the next pack.

    Args:
        workers: number of workers; `auto` is one per visible GPU, else one.
    """

    def __init__(self, workers: str | int):
        self._environments = cache(partial(worker_environments, workers))

    def machine(self, cfg: DictConfig) -> Machine:
        """See `Backend`."""
        return Machine.here(cfg.trainer.device, len(self._environments(cfg.trainer.device)))

    @contextmanager
    def submit(self, plan: Plan, settings: DictConfig) -> Iterator[Handle]:
        """See `Backend`. The output of worker n goes to `logs/worker-n.log` in the study's directory."""
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
                _Feeder(
                    waiting=waiting,
                    stopping=stopping,
                    settings=settings,
                    environment=environment,
                    log_file=log_dir / f"worker-{index}.log",
                )
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
    """Give each worker a GPU, or a share of the CPU's cores.

    Args:
        workers: number of workers; `auto` is one per visible GPU, else one.
        device: `trainer.device`. A GPU with an index gives a single worker.

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
        raise ConfigError(f"hydra.launcher.workers={count} needs as many GPUs; {len(visible)} are visible")
    return [{"CUDA_VISIBLE_DEVICES": gpu} for gpu in visible[:count]]


class _Loops:
    """The handle of the workers' packs: a loop per worker, on threads of this process."""

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
        stopping: event that is set when no further pack may start.
        settings: see `memlaw.training.pack.train_pack`.
        environment: variables of the worker.
        log_file: file for the worker's output.
    """

    waiting: SimpleQueue[list[Cell]]
    stopping: threading.Event
    settings: DictConfig
    environment: Environment
    log_file: Path

    def run(self) -> None:
        """Train pack after pack. Start a new worker in place of a dead worker."""
        executor: ProcessPoolExecutor | None = None
        while not self.stopping.is_set():
            try:
                cells = self.waiting.get_nowait()
            except Empty:
                break
            executor = executor or start_worker(self.environment, self.log_file)
            try:
                executor.submit(train, cells, self.settings, self.environment).result()
            except Exception as error:  # the worker died, or could not report its error
                executor.shutdown(wait=False)
                executor = None
                if not self.stopping.is_set():
                    self._retry_or_fail(cells, error)
        if executor:
            executor.shutdown()

    def _retry_or_fail(self, cells: Sequence[Cell], error: Exception) -> None:
        """Put back the halves of a pack whose worker died, probably for lack of RAM. Fail a cell that was alone.

        Cells that have ended, and cells that another process trains, stay unchanged.
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
            with cell.lock_if_free() as free:
                if free and not cell.status.ended:  # another process may have trained it meanwhile
                    cell.fail(killed if died else error)


@contextmanager
def _signals_raised() -> Iterator[None]:
    """Raise SystemExit at the first signal that would end this process without its workers. Keep other handlers."""
    received: list[int] = []

    def leave(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) == 1:
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
    """Let workers write their checkpoints and end. A second Ctrl-C kills them.

    A worker that is starting may not be listed yet, so look again until all loops have ended.
    """
    stop = BaseProcess.terminate
    stopped: set[int | None] = set()
    log.warning("interrupted: workers write checkpoints after their current step; Ctrl-C again kills them")
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
