"""Local workers: their devices, what becomes of the packs of one that dies, and signals to the sweep."""

import signal
import threading
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from queue import SimpleQueue

import pytest
import torch
from helpers.configs import composed

from memlaw.backends import workers
from memlaw.backends.worker_process import train
from memlaw.backends.workers import worker_environments
from memlaw.core.errors import ConfigError


@pytest.fixture
def gpus(monkeypatch):
    """Pretend that this machine has GPUs, of which a process sees some."""

    def pretend(number: int, visible: str | None = None) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
        if visible is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return pretend


def seen(*arguments) -> list[str]:
    return [environment["CUDA_VISIBLE_DEVICES"] for environment in worker_environments(*arguments)]


def test_each_gpu_has_a_worker_of_its_own(gpus):
    gpus(4)
    assert seen("auto", "auto") == ["0", "1", "2", "3"]
    assert seen(2, "cuda") == ["0", "1"]
    assert seen("auto", "cuda:2") == ["2"]


def test_only_visible_gpus_are_used_by_their_own_names(gpus):
    gpus(2, "5,GPU-8f3a")
    assert seen("auto", "auto") == ["5", "GPU-8f3a"]
    assert seen("auto", "cuda:1") == ["GPU-8f3a"]


def test_more_workers_than_gpus_are_refused(gpus):
    gpus(2)
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.workers=3 needs as many GPUs; 2 are visible"):
        worker_environments(3, "auto")


def test_a_worker_takes_its_device_from_the_launcher_and_not_from_what_it_inherits(monkeypatch):
    seen = []
    monkeypatch.setattr("memlaw.training.pack.train_pack", lambda pack, settings: seen.append(settings.trainer.device))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # the usual way to hide GPUs
    for environment in ({"OMP_NUM_THREADS": "2"}, {"CUDA_VISIBLE_DEVICES": "1"}):
        train([], composed("trainer.device=auto"), environment)
    assert seen == ["auto", "cuda"]


def test_workers_on_the_cpu_share_its_cores(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert worker_environments("auto", "auto") == [{"OMP_NUM_THREADS": "8"}]
    assert worker_environments(3, "cpu") == [{"OMP_NUM_THREADS": "2"}] * 3


class Died:
    """Takes the place of a worker process that dies while more than `most` cells are in its pack."""

    started = 0

    def __init__(self, most: int):
        self.most = most
        Died.started += 1

    def submit(self, train, cells, settings, environment) -> Future:
        ended: Future = Future()
        if len(cells) > self.most:
            cells[0].set_status("failed", cause="its own")  # before the process dies
            ended.set_exception(BrokenProcessPool())
        else:
            for cell in cells:
                cell.set_status("failed", cause="trained")
            ended.set_result(None)
        return ended

    def shutdown(self, wait: bool = True) -> None:
        """Nothing is left of it."""


@pytest.fixture
def five(tiny) -> list:
    cells = [tiny("seq_len=8", f"seed={seed}")[0] for seed in range(5)]
    for cell in cells:
        cell.plan()
    return cells


def serve(cells: list, monkeypatch, most: int, tmp_path: Path) -> list[str]:
    """Feed one worker with one pack; what became of the cells."""
    monkeypatch.setattr(workers, "start_worker", lambda environment, log_file: Died(most))
    monkeypatch.setattr(Died, "started", 0)
    waiting: SimpleQueue = SimpleQueue()
    waiting.put(cells)
    workers._Feeder(waiting, threading.Event(), composed(), {}, tmp_path / "worker-0.log").run()
    return [str(cell.status.cause) for cell in cells]


def test_the_pack_of_a_worker_that_dies_is_halved_and_ended_cells_are_left_out(five, monkeypatch, tmp_path: Path):
    causes = serve(five, monkeypatch, 2, tmp_path)
    assert causes == ["its own", "trained", "trained", "trained", "trained"]
    assert Died.started == 2


def test_a_cell_alone_with_a_worker_that_dies_fails_with_where_to_look(five, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(Died, "submit", lambda *_: dead())
    (cause,) = serve(five[:1], monkeypatch, 0, tmp_path)
    assert cause == f"its worker process died (killed, or out of memory); see {tmp_path}/worker-0.log"


def dead() -> Future:
    ended: Future = Future()
    ended.set_exception(BrokenProcessPool())
    return ended


def test_a_cell_that_another_process_holds_is_not_failed_by_a_dead_worker(five, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(Died, "submit", lambda *_: dead())
    with five[0].lock().acquire(timeout=0):
        serve(five[:1], monkeypatch, 0, tmp_path)
    assert five[0].state == "pending"


def test_an_error_that_is_no_death_fails_all_its_cells_with_its_cause(five, monkeypatch, tmp_path: Path):
    ended: Future = Future()
    ended.set_exception(ValueError("cannot be unpickled"))
    monkeypatch.setattr(Died, "submit", lambda *_: ended)
    assert serve(five, monkeypatch, 0, tmp_path) == ["ValueError: cannot be unpickled"] * 5


def test_no_pack_is_begun_once_the_sweep_stops(five, monkeypatch, tmp_path: Path):
    stopping = threading.Event()
    stopping.set()
    waiting: SimpleQueue = SimpleQueue()
    waiting.put(five)
    workers._Feeder(waiting, stopping, composed(), {}, tmp_path / "worker-0.log").run()
    assert waiting.get_nowait() == five


@pytest.mark.parametrize("number", workers.ENDING)
def test_a_signal_that_would_leave_workers_behind_is_raised_once(number: signal.Signals):
    def twice() -> None:
        with workers._signals_raised():
            try:
                signal.raise_signal(number)
            finally:
                signal.raise_signal(number)  # while workers write checkpoints

    before = signal.signal(number, signal.SIG_DFL)  # tests under `nohup` ignore SIGHUP
    with pytest.raises(SystemExit) as left:
        twice()
    assert left.value.code == 128 + number
    assert signal.getsignal(number) == signal.SIG_DFL
    signal.signal(number, before)


def test_a_signal_that_the_sweep_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with workers._signals_raised():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
