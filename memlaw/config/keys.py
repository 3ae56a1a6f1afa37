"""Declare the keys of a configuration, and refuse others than those of `conf/config.yaml` and its groups.

Hydra lets `+key=value` and a user's files add any key, so a misspelt key would train with the default. Hydra's
structured configs do not help: `+lora.rnk=3` adds a key to a dataclass too. They would declare every key twice, and
cannot express the allowed ranges and choices, which `memlaw.planning.checks` holds in one table.
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
"""Keys that decide the numbers. They are a cell's config and make its hash."""

TRAINING_SETTINGS = ("trainer", "logger", "checkpoint")
"""Operational keys that the training of a pack reads."""

OPERATIONAL = (*TRAINING_SETTINGS, "pack", "study", "runs_dir", "rerun", "dry_run")
"""Keys that say how and where to run. Each has a single value in a sweep."""

TABLES = ("lookup",)
"""Keys that hold tables of an experiment. They reach a cell through the values that look them up."""


def check_keys(cfg: DictConfig) -> None:
    """Refuse unknown keys, missing keys, and a single value in place of a section.

    The keys of a group such as `model` are parameters of its `_target_`, which checks them. An experiment is free in
    the keys below `lookup`.

    Args:
        cfg: the composed configuration without Hydra's own part.

    Raises:
        ConfigError: naming the key, and what can be set instead.
    """
    _check_section("", OmegaConf.to_container(cfg), _default_keys())


def unknown_key(key: str, allowed: Iterable[Any]) -> ConfigError:
    """Make the error for a key that is not among the `allowed` keys of its section."""
    section = key.rpartition(".")[0] or "the configuration"
    names = ", ".join(str(name) for name in allowed if name not in ("hydra", "_target_"))
    if names:
        return ConfigError(f"{key} is not a key; {section} has {names}")
    hint = f"; +{key}=VALUE adds a key" if key.startswith("hydra.") else ""
    return ConfigError(f"{key}: {section} has no keys{hint}")


@cache
def _default_keys() -> dict[str, Any]:
    """Read the default configuration as nested dicts, with None for each group."""
    root: Any = OmegaConf.to_container(OmegaConf.load(Path(config_dir()) / "config.yaml"))
    choices = [item for entry in root.pop("defaults") if isinstance(entry, dict) for item in entry.items()]
    groups = [group for group, name in choices if name is not None and not group.startswith("override ")]
    del root["hydra"]
    return {**dict.fromkeys(groups), **root}


def _check_section(prefix: str, values: Any, defaults: Mapping[str, Any]) -> None:
    section = prefix.rstrip(".")
    if not isinstance(values, dict):
        first = f"{prefix}{next(iter(defaults))}"
        raise ConfigError(f"{section}={spelled(values)} replaces a group of settings; set {first}=… instead")
    for key in values:
        if key not in defaults:
            raise unknown_key(f"{prefix}{key}", defaults)
    for key, default in defaults.items():
        if key not in values:
            raise ConfigError(f"{prefix}{key} is missing; {section or 'the configuration'} needs it")
        if isinstance(default, dict) and key not in TABLES:
            _check_section(f"{prefix}{key}.", values[key], default)
