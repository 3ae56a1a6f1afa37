"""Identify a cell by its config: a hash, a readable name that ends in the hash, and a flat row of all values."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from memlaw.core.files import NAME_BYTES, TEMPORARY_BYTES

LATER_KEYS: dict[str, Any] = {
    "lora.init": "peft",
    "lora.dropout": 0.0,
    "lora.dtype": "fp32",
    "data.system_prompt": None,
    "data.template_arguments": None,
    "data.retokenize": False,
    "data.query_field": None,
    "data.target_field": None,
}
"""Key that earlier versions lack → its neutral value, at which a cell is what it is without the key.

A key at its neutral value does not count in the hash. A config or a row without the key has that value.
"""

_WORD_BYTES = 34
"""Bytes that remain of each word in a cell's name that is too long."""


def config_hash(config: DictConfig) -> str:
    """Return the first eight hexadecimal digits of the SHA-256 of the resolved scientific config.

    Code locations (`_target_`) and `LATER_KEYS` at their neutral values do not count. Numbers count by their value: 1,
    1.0 and 1e0 are equal.
    """
    canonical = json.dumps(_canonical(OmegaConf.to_container(config, resolve=True)), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:8]


def add_later_keys(config: DictConfig) -> None:
    """Add the `LATER_KEYS` that a config of an earlier version lacks, at their neutral values.

    A section that names a class (`_target_`) keeps its keys: the class has these values as defaults.
    """
    for key, neutral in LATER_KEYS.items():
        section, _, name = key.rpartition(".")
        values = OmegaConf.select(config, section)
        if isinstance(values, DictConfig) and "_target_" not in values and name not in values:
            values[name] = neutral


def with_later_keys(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat row of a config with the `LATER_KEYS` that it lacks, at their neutral values.

    A mapping stands in a row as the values below its key, and is not lacking then.
    """

    def lacks(key: str) -> bool:
        return key not in row and not any(name.startswith(f"{key}.") for name in row)

    return {**row, **{key: neutral for key, neutral in LATER_KEYS.items() if lacks(key)}}


def _canonical(value: Any, prefix: str = "") -> Any:
    if isinstance(value, dict):
        return {
            str(key): _canonical(item, f"{prefix}{key}.")
            for key, item in value.items()
            if key != "_target_" and not _is_neutral(f"{prefix}{key}", item)
        }
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _is_neutral(key: str, value: Any) -> bool:
    return key in LATER_KEYS and not isinstance(value, dict | list) and _canonical(value) == LATER_KEYS[key]


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
