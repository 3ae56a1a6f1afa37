"""Dequantizes GGUF files, each once, into the cache."""

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from filelock import FileLock
from safetensors import SafetensorError
from transformers import AutoTokenizer

from memlaw.core.errors import ConfigError, one_line, shown
from memlaw.core.files import atomic_path
from memlaw.core.paths import cache_dir
from memlaw.models.pretrained import read_model, read_pretrained

log = logging.getLogger(__name__)

FORMAT = 2
"""Version of the conversion; a new number converts all files anew."""


def convert_gguf(path: Path) -> Path:
    """Dequantize a GGUF file into the cache unless it is there, and return the directory.

    Concurrent processes may call it: one converts, the others wait for the result.

    Raises:
        ConfigError: transformers cannot read a causal LM from the file, or the cache cannot be written.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    target = cache_dir() / "models" / f"{path.stem}-{digest}-{FORMAT}"
    if target.is_dir():
        return target
    with _explained():
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if not target.is_dir():
                log.info("Converting %s once into %s (about half a minute) …", path.name, target)
                _remove_leftovers(target)
                with atomic_path(target) as temporary:
                    _convert(path, temporary)
    return target


def _convert(path: Path, directory: Path) -> None:
    model = read_model(**_source(path), dtype=torch.float32)
    del model.config.quantization_config
    model.hf_quantizer = cast(Any, None)  # the weights are plain floats now
    model.save_pretrained(directory)
    read_pretrained(AutoTokenizer.from_pretrained, **_source(path)).save_pretrained(directory)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of writing the cache into a ConfigError with a remedy."""
    try:
        yield
    except Exception as error:
        # On a full disk, safetensors raises an error of its own, and tokenizers a bare Exception.
        if not isinstance(error, OSError | SafetensorError) and type(error) is not Exception:
            raise
        raise ConfigError(
            f"the cache {cache_dir()} cannot be written ({one_line(error)}): set MEMLAW_CACHE to a writable directory"
        ) from error


def _source(path: Path) -> dict[str, Any]:
    """Return the arguments of `memlaw.models.pretrained` for a file."""
    return {
        "location": str(path.parent),
        "setting": f"model.path={shown(str(path))}",
        "problem": "is not a GGUF file that transformers can read",
        "trusted": False,
        "gguf_file": path.name,
        "local_files_only": True,
    }


def _remove_leftovers(target: Path) -> None:
    for leftover in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
