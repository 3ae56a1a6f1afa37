import torch
from helpers.processes import stub

from memlaw.doctor import hardware


def test_a_gpu_is_the_drivers_and_torchs(path):
    assert hardware.gpu(0).level == "yellow"
    stub(path, "nvidia-smi", "echo 'NVIDIA H200, 143771 MiB, 570.1'")
    unseen = hardware.gpu(0, torch_cuda=None)
    assert (unseen.level, "is a build for the CPU" in unseen.finding) == ("red", True)
    seen = hardware.gpu(1)
    assert (seen.level, "570.1" in seen.finding) == ("green", True)


def test_bf16_is_green_where_it_is_native(monkeypatch):
    for native, level in ((True, "green"), (False, "yellow")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        assert hardware.precision("cpu").level == level
    assert hardware.precision("cuda:99").level == "red"
