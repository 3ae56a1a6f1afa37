"""Which keys a configuration has: those of `conf/config.yaml` and of the groups that it names, no others.

Hydra lets `+key=value` and a user's own files add any key, so that a misspelt one would train with the default.
Hydra's structured configs do not help: `+lora.rnk=3` adds a key to a dataclass too. They would declare every key
twice, and cannot express the allowed ranges and choices, which `memlaw.planning.checks` holds in one table.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from memlaw.core.errors import ConfigError, spelled
from memlaw.core.paths import config_dir

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
    """Refuse unknown keys, missing keys, and a single value in place of a section.

    The keys of a group such as `model` are parameters of its `_target_`, which checks them. Those below `lookup` are
    an experiment's own.

    Args:
        cfg: the composed configuration without Hydra's own part.

    Raises:
        ConfigError: naming the key, and what can be set instead.
    """
    _check_section("", OmegaConf.to_container(cfg), _known_keys())


def unknown_key(key: str, known: Iterable[Any]) -> ConfigError:
    """Make the error for a key that its section does not have; its section has `known`."""
    section = key.rpartition(".")[0] or "the configuration"
    names = ", ".join(str(name) for name in known if name not in ("hydra", "_target_"))
    if names:
        return ConfigError(f"{key} is not a key; {section} has {names}")
    new = f"; +{key}=VALUE adds one" if key.startswith("hydra.") else ""
    return ConfigError(f"{key}: {section} has no keys{new}")


@cache
def _known_keys() -> dict[str, Any]:
    """Read the default configuration as nested dicts, with None for each group."""
    root: Any = OmegaConf.to_container(OmegaConf.load(Path(config_dir()) / "config.yaml"))
    choices = [item for entry in root.pop("defaults") if isinstance(entry, dict) for item in entry.items()]
    groups = [group for group, name in choices if name is not None and not group.startswith("override ")]
    del root["hydra"]
    return {**dict.fromkeys(groups), **root}


def _check_section(prefix: str, given: Any, known: Mapping[str, Any]) -> None:
    section = prefix.rstrip(".")
    if not isinstance(given, dict):
        first = f"{prefix}{next(iter(known))}"
        raise ConfigError(f"{section}={spelled(given)} replaces a group of settings; set {first}=… instead")
    for key in given:
        if key not in known:
            raise unknown_key(f"{prefix}{key}", known)
    for key, default in known.items():
        if key not in given:
            raise ConfigError(f"{prefix}{key} is missing; {section or 'the configuration'} needs it")
        if isinstance(default, dict) and key not in TABLES:
            _check_section(f"{prefix}{key}.", given[key], default)
