"""Which device each worker of the local launcher gets."""

import pytest
import torch
from conftest import composed

from memlaw.backends.worker_process import train
from memlaw.backends.workers import worker_environments
from memlaw.errors import ConfigError


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
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.workers=3, but there are 2 GPUs"):
        worker_environments(3, "auto")


def test_a_worker_takes_its_device_from_the_launcher_and_not_from_what_it_inherits(monkeypatch):
    seen = []
    monkeypatch.setattr("memlaw.pack.train_pack", lambda pack, settings: seen.append(settings.trainer.device))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # the usual way to hide GPUs
    for environment in ({"OMP_NUM_THREADS": "2"}, {"CUDA_VISIBLE_DEVICES": "1"}):
        train([], composed("trainer.device=auto"), environment)
    assert seen == ["auto", "cuda"]


def test_workers_on_the_cpu_share_its_cores(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert worker_environments("auto", "auto") == [{"OMP_NUM_THREADS": "8"}]
    assert worker_environments(3, "cpu") == [{"OMP_NUM_THREADS": "2"}] * 3
