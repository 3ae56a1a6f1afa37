"""What holds of every place where packs run: this process, local workers and Slurm, with a training that is faked."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from helpers.configs import composed
from helpers.processes import stub
from helpers.slurm_options import options

from memlaw.backends import workers
from memlaw.backends.backend import Backend, NoPacks
from memlaw.backends.slurm import backend as slurm
from memlaw.backends.slurm.submission import Submission
from memlaw.backends.this_process import ThisProcess
from memlaw.backends.workers import Workers
from memlaw.core.errors import SweepFailed
from memlaw.planning.cost import CostModel
from memlaw.planning.planned import Plan
from memlaw.study.survey import survey

SETTINGS = composed("trainer.device=cpu", "logger.mode=disabled")


class Training:
    """Takes the place of `memlaw.training.pack.train_pack`: it remembers each pack and says its cells are done."""

    def __init__(self) -> None:
        self.packs: list[list[str]] = []

    def __call__(self, cells, settings) -> None:
        assert settings.trainer.device == "cpu"
        self.packs.append([cell.name for cell in cells])
        for cell in cells:
            cell.set_status("failed", cause="a cause")  # an end that needs no result


class Executor:
    """Takes the place of submitit's: it runs jobs as they are submitted, and numbers them."""

    def submit_array(self, tasks):
        for task in tasks:
            task()
        return [SimpleNamespace(job_id=f"7_{number}") for number in range(len(tasks))]


@pytest.fixture
def training(monkeypatch) -> Training:
    faked = Training()
    monkeypatch.setattr("memlaw.training.pack.train_pack", faked)
    return faked


@pytest.fixture(params=["this process", "workers", "slurm"])
def backend(request, monkeypatch) -> Backend:
    if request.param == "this process":
        return ThisProcess()
    if request.param == "workers":
        monkeypatch.setattr(workers, "start_worker", lambda environment, log_file: ThreadPoolExecutor(1))
        return Workers(2)
    monkeypatch.setattr(slurm, "cluster_config", dict)
    monkeypatch.setattr(slurm, "live_jobs", list)
    monkeypatch.setattr(slurm, "missing_programs", str)
    monkeypatch.setattr(Submission, "_executor", lambda submission, arrays, number: Executor())
    return slurm.Slurm(options(gpus=0, packs_per_task=1, wait=True))


@pytest.fixture
def plan(tiny) -> Plan:
    """A plan of three cells in two packs."""
    cells = [tiny("seq_len=8", f"seed={seed}")[0] for seed in range(3)]
    for cell in cells:
        cell.plan()
    packs = [SimpleNamespace(cells=cells[:2]), SimpleNamespace(cells=cells[2:])]
    return Plan(packs, CostModel(0.0, 1e-14, 0))


def cells_of(plan: Plan) -> list:
    return [cell for pack in plan.packs for cell in pack.cells]


def wait(handle) -> None:
    while not handle.wait(0.01):
        continue


def test_each_pack_is_trained_once_and_the_handle_has_its_cells(backend, plan, training):
    cells = cells_of(plan)
    with backend.submit(plan, SETTINGS) as handle:
        assert list(handle.cells) == cells
        wait(handle)
        assert handle.wait(0.01)  # and it stays so
    assert sorted(training.packs) == sorted([cell.name for cell in pack.cells] for pack in plan.packs)
    assert [cell.state for cell in cells] == ["failed"] * 3


def test_an_interrupted_submission_hands_the_interrupt_on(backend, plan, training):
    with pytest.raises(KeyboardInterrupt), backend.submit(plan, SETTINGS):
        raise KeyboardInterrupt


def test_nothing_is_queued_where_nothing_was_submitted(backend, plan):
    handle = backend.attach(cells_of(plan))
    assert list(handle.cells) == []
    assert handle.wait(60.0)


def test_the_machine_of_a_pack_has_memory_and_workers(backend):
    machine = backend.machine(SETTINGS)
    assert machine.device == "cpu"
    assert machine.ram_bytes > 0 and machine.workers >= 1


def test_no_packs_have_always_ended():
    assert NoPacks().wait(60.0)


@pytest.mark.parametrize("number", [1, 3])
def test_devices_of_workers_are_looked_up_once(plan, training, monkeypatch, number: int):
    looked: list[str] = []
    look: Callable = workers.worker_environments

    def counted(*arguments):
        looked.append("")
        return look(*arguments)

    monkeypatch.setattr(workers, "worker_environments", counted)
    monkeypatch.setattr(workers, "start_worker", lambda environment, log_file: ThreadPoolExecutor(1))
    local = Workers(number)
    assert local.machine(SETTINGS).workers == number
    with local.submit(plan, SETTINGS) as handle:
        wait(handle)
    assert len(looked) == 1


def test_jobs_of_an_earlier_call_are_attached_to_until_their_cells_have_ended(plan, training, monkeypatch):
    class Queue(Executor):
        def submit_array(self, tasks):
            return [SimpleNamespace(job_id=f"7_{number}") for number in range(len(tasks))]

    monkeypatch.setattr(slurm, "cluster_config", dict)
    monkeypatch.setattr(Submission, "_executor", lambda submission, arrays, number: Queue())
    monkeypatch.setattr(slurm, "live_jobs", lambda: [SimpleNamespace(id="7_1")])
    earlier, later = (slurm.Slurm(options(gpus=0, packs_per_task=1, wait=True)) for _ in range(2))
    with earlier.submit(plan, SETTINGS):
        pass
    cells = cells_of(plan)
    handle = later.attach(cells)
    assert list(handle.cells) == cells[2:]  # the other task's job has left the queue
    monkeypatch.setattr(handle.jobs, "gone", lambda: False)
    assert not handle.wait(0.0)
    cells[2].set_status("failed", cause="a cause")
    assert handle.wait(0.0)
    assert list(later.attach(cells).cells) == []  # rerun=failed queues it again


def test_a_rehearsal_writes_the_scripts_that_slurm_would_get(plan, tmp_path, monkeypatch):
    stub(tmp_path, "srun", "")  # submitit looks whether it is there
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(slurm, "cluster_config", dict)
    text = slurm.Slurm(options(gpus=0, packs_per_task=1)).rehearse(plan, SETTINGS)
    (script,) = (plan.packs[0].cells[0].study / "slurm/dry-run").glob("*.sh")
    assert text.startswith("2 tasks in 1 submission, the first of them:\n\n#!/bin/bash\n")
    assert text.endswith(f"Written to {script}; nothing submitted.\n")
    assert ThisProcess().rehearse(plan, SETTINGS) == ""


def test_cells_that_another_process_trains_are_left_to_it_and_others_are_a_failure(plan, caplog):
    cells = cells_of(plan)
    cells[0].start()
    running, pending, _ = survey(cells)
    study = cells[0].study
    ThisProcess().account_for([running], study)
    assert "1 cell still trained by another process" in caplog.text
    with pytest.raises(SweepFailed, match=f"^1 cell unfinished; the output of the workers is in {study}/logs"):
        ThisProcess().account_for([running, pending], study)
    with pytest.raises(SweepFailed, match=r"^2 cells unfinished, and no job of this sweep is left"):
        slurm.Slurm(options(gpus=0)).account_for([running, pending], study)
