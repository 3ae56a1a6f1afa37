"""Identify a cell by its config: a hash, a readable name that ends in the hash, and a flat row of all values."""

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from memlaw.core.files import NAME_BYTES, TEMPORARY_BYTES

_WORD_BYTES = 34
"""Bytes that remain of each word in a cell's name that is too long."""


def config_hash(config: DictConfig) -> str:
    """Return the first eight hexadecimal digits of the SHA-256 of the resolved scientific config.

    Code locations (`_target_`) do not count. Numbers count by their value: 1, 1.0 and 1e0 are equal.
    """
    canonical = json.dumps(_canonical(OmegaConf.to_container(config, resolve=True)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _canonical(item) for key, item in value.items() if key != "_target_"}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def readable_name(config: DictConfig, digest: str) -> str:
    """Return the main values of a scientific config and its hash as the name of a directory.

    Where the name is longer than file systems take, keep only the end of each word: `model.name` may be a path.
    """
    c = config
    words = (c.model.name, c.data.name, c.method.name, f"r{c.lora.rank}", f"l{c.seq_len}", f"s{c.seed}", digest)
    safe = [re.sub(r"[^\w.]+", "_", str(word)) for word in words]
    if len("-".join(safe).encode()) > NAME_BYTES - TEMPORARY_BYTES:
        safe = [word.encode()[-_WORD_BYTES:].decode(errors="ignore") for word in safe]
    return "-".join(safe)


def flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values of a nested config, without `_target_`. A list becomes its JSON."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key != "_target_":
                yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, json.dumps(value) if isinstance(value, list) else value
