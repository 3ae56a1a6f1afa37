import pytest
import torch

from memlaw.core.errors import ConfigError
from memlaw.models.devices import resolve_device, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("amx", "avx512", "dtype"),
    [(False, False, torch.float32), (True, False, torch.bfloat16), (False, True, torch.bfloat16)],
)
def test_auto_precision_follows_what_the_cpu_multiplies(monkeypatch, amx: bool, avx512: bool, dtype: torch.dtype):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    assert resolve_precision("auto", CPU) == dtype


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_precision_follows_what_the_gpu_multiplies(monkeypatch, native: bool, dtype: torch.dtype):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert resolve_precision("auto", torch.device("cuda")) == dtype


def test_precision_and_device_are_explicit():
    assert resolve_precision("fp32", CPU) == torch.float32
    assert resolve_precision("bf16", CPU) == torch.bfloat16
    assert resolve_device("cpu") == CPU
    with pytest.raises(ConfigError, match="precision=fp64"):
        resolve_precision("fp64", CPU)
    with pytest.raises(ConfigError, match=r"trainer\.device=nonsense"):
        resolve_device("nonsense")
