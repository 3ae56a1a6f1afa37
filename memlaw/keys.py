"""The keys that a configuration has: those of `conf/config.yaml` and of the groups' files that it names, no others.

Hydra itself lets a `+key=value` and a user's own files add whatever they like, so a misspelt key would train with the
default in silence.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from memlaw.errors import ConfigError
from memlaw.paths import config_dir

SCIENTIFIC = (
    "model",
    "data",
    "seq_len",
    "lora",
    "method",
    "optimizer",
    "steps",
    "epochs",
    "batch_size",
    "seed",
    "precision",
    "stop",
    "eval",
)
"""Keys that decide the numbers. They make a cell, and its hash."""

TRAINING_SETTINGS = ("trainer", "logger", "checkpoint")
"""Operational keys that the training of a pack reads."""

OPERATIONAL = (*TRAINING_SETTINGS, "pack", "study", "runs_dir", "rerun", "dry_run")
"""Keys that say how and where to run. A whole sweep has one value of each."""

TABLES = ("lookup",)
"""Keys that hold an experiment's own tables. They reach a cell through the values that look them up."""


def check_keys(cfg: DictConfig) -> None:
    """Refuse keys that nothing reads, and the lack of one that is read.

    Below a `_target_`, the keys are that function's parameters and its own to check; below `lookup`, an experiment's.

    Args:
        cfg: the composed configuration without Hydra's own part.

    Raises:
        ConfigError: naming the key, and what there is in its place.
    """
    _check_section("", _plain(cfg), known_keys())


def unknown_key(key: str, known: Iterable[Any]) -> ConfigError:
    """The error for a key that its section does not have; its section has `known`."""
    section = key.rpartition(".")[0] or "the configuration"
    names = ", ".join(str(name) for name in known if name not in ("hydra", "_target_"))
    if names:
        return ConfigError(f"{key} is not a key; {section} has {names}")
    new = f"; +{key}=VALUE adds one" if key.startswith("hydra.") else ""
    return ConfigError(f"{key}: {section} has no keys{new}")


@cache
def known_keys() -> dict[str, Any]:
    """The default configuration as nested dicts."""
    directory = Path(config_dir())
    root = _load(directory / "config.yaml")
    groups = [item for entry in root.pop("defaults") if isinstance(entry, dict) for item in entry.items()]
    del root["hydra"]
    chosen = {group: name for group, name in groups if name is not None and not group.startswith("override ")}
    return {**{group: _load(directory / group / f"{name}.yaml") for group, name in chosen.items()}, **root}


def _load(path: Path) -> dict[str, Any]:
    return _plain(OmegaConf.load(path))


def _plain(config: DictConfig | ListConfig) -> dict[str, Any]:
    """As nested dicts, with interpolations as they are written."""
    found = OmegaConf.to_container(config)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def _check_section(prefix: str, given: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for key in given:
        if key not in known:
            raise unknown_key(f"{prefix}{key}", known)
    for key in known:
        if key not in given:
            raise ConfigError(f"{prefix}{key} is missing; {prefix.rstrip('.') or 'the configuration'} needs it")
        both = given[key], known[key]
        if key not in TABLES and all(isinstance(value, dict) and "_target_" not in value for value in both):
            _check_section(f"{prefix}{key}.", *both)
