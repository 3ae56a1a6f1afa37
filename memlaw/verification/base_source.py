"""Finds the base model of a verification: the one that is named, or the one that an adapter was trained on."""

from pathlib import Path
from typing import cast

from memlaw.config.compose import compose_config
from memlaw.config.instantiation import instantiate_checked
from memlaw.core.errors import ConfigError
from memlaw.core.paths import config_dir
from memlaw.models.sources import HubModel, LocalModel, ModelSource


def named_source(name: str) -> ModelSource:
    """Find a base model by its name: a path on this machine, an option of `conf/model/`, or a Hub id."""
    if Path(name).expanduser().exists():
        return LocalModel(name, name)
    if (Path(config_dir()) / "model" / f"{name}.yaml").is_file():
        return cast(ModelSource, instantiate_checked(compose_config([f"model={name}"]).model))
    return HubModel(name, name)


def recorded_source(base: object, revision: object, where: str) -> ModelSource:
    """Find the base model that a checkpoint names; a directory of this machine comes before a Hub id.

    Args:
        base: `base_model_name_or_path` of its `adapter_config.json`.
        revision: the revision there, or None.
        where: name of the checkpoint in errors.

    Raises:
        ConfigError: it names none.
    """
    if not isinstance(base, str) or not base:
        raise ConfigError(f"{where} does not name its base model; give it with --model")
    if Path(base).expanduser().is_dir():
        return LocalModel(base, base)
    return HubModel(base, base, revision if isinstance(revision, str) else None)
