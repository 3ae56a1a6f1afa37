from types import SimpleNamespace

import psutil
import pytest
import torch

from memlaw.core.errors import ConfigError
from memlaw.planning.machine import CPU_SHARE, GPU_SHARE, Machine


def test_workers_on_the_cpu_share_half_of_the_free_ram(monkeypatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8000))
    assert Machine.here("cpu", workers=2) == Machine("cpu", int(8000 * CPU_SHARE / 2), 2)


def test_each_worker_on_a_gpu_has_a_share_of_its_memory(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=1000))
    machine = Machine.here("cuda:1", workers=2)
    assert machine == Machine("cuda:1", int(1000 * GPU_SHARE), 2)
    assert machine.device_type == "cuda"


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match=r"trainer\.device=cuda:99 cannot be used here"):
        Machine.here("cuda:99", workers=1)


def test_the_precision_of_a_remote_gpu_is_not_measured():
    assert Machine("cuda", 1, 1, remote=True).dtype("auto") == torch.bfloat16
    assert Machine("cuda", 1, 1, remote=True).dtype("fp32") == torch.float32
    with pytest.raises(ConfigError, match="precision=fp8 is not one of auto, fp32, bf16"):
        Machine("cpu", 1, 1).dtype("fp8")
