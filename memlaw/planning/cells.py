"""Make the cell that a composed configuration describes."""

import json
from functools import cache, partial
from typing import Any

from omegaconf import DictConfig, OmegaConf

from memlaw.config.canonical import canonical_lora
from memlaw.config.explain import explained
from memlaw.config.keys import SCIENTIFIC, check_keys
from memlaw.core.errors import ConfigError
from memlaw.core.files import file_hash
from memlaw.study.cell import Cell
from memlaw.study.directory import study_dir

_CONTENTS = (("data", "path", "content"), ("eval", "side_effects", "side_effects_content"))
"""Section, key of a file, and key of the file's hash, which replaces null."""


def compose_cell(cfg: DictConfig) -> Cell:
    """Take the scientific keys of a composed config, in their canonical spelling.

    Raises:
        ConfigError: a key is unknown, a mandatory value is missing or an interpolation cannot be resolved.
    """
    values = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])  # they may look up others
    check_keys(values)
    with explained():
        container = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    scientific: dict[str, Any] = {key: container[key] for key in SCIENTIFIC}
    scientific["lora"] = canonical_lora(scientific["lora"], partial(_depth, json.dumps(scientific["model"])))
    for name, path, content in _CONTENTS:
        section = scientific[name]
        if isinstance(section, dict) and content in section and section[content] is None:
            section[content] = file_hash(section[path])
    return Cell(OmegaConf.create(scientific), study_dir(cfg))


@cache
def _depth(model: str) -> int | None:
    """Count a base model's decoder layers. Return None where its configuration cannot be read.

    Args:
        model: values of `conf/model` as JSON.
    """
    from memlaw.planning.resolved import resolve_model  # imports torch, which a sweep over indices does not need

    try:
        return resolve_model(OmegaConf.create({"model": json.loads(model)}).model).depth
    except ConfigError:  # the checks raise it again, with the key
        return None
