"""Lets transformers read models from files and servers; each error becomes one line that names the key."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import CONFIG_NAME, find_adapter_config_file

from memlaw.core.errors import ConfigError, is_out_of_memory, one_line

log = logging.getLogger(__name__)

UNTRUSTED = "trust_remote_code"
"""A part of the message with which transformers refuses to run a model's code."""


def read_pretrained(
    from_pretrained: Callable[..., Any], location: str, setting: str, problem: str, trusted: bool, **kwargs: Any
) -> Any:
    """Call `from_pretrained` of transformers; code that comes with the model runs only if `trusted`.

    Args:
        from_pretrained: of `AutoConfig`, `AutoModelForCausalLM` or `AutoTokenizer`.
        location: a directory or a Hub id.
        setting: the config key and its value, for errors.
        problem: continues the message after `setting` when reading fails.
        trusted: `model.trust_remote_code`.
        kwargs: for `from_pretrained`.

    Raises:
        ConfigError: reading fails, or needs code that is not trusted.
    """
    if trusted:
        log.warning("model.trust_remote_code: running code that comes with %s", location)
    try:
        return from_pretrained(location, trust_remote_code=trusted, **kwargs)
    except Exception as error:  # foreign files cause errors of many classes
        if is_out_of_memory(error):
            raise
        if not trusted and UNTRUSTED in str(error):
            raise ConfigError(
                f"{setting} comes with code; read it, and if you trust it, add +model.trust_remote_code=true"
            ) from error
        raise ConfigError(f"{setting} {problem}: {one_line(error)}") from error


def read_model(location: str, setting: str, problem: str, trusted: bool, **kwargs: Any) -> PreTrainedModel:
    """Read a causal LM with all of its weights.

    Args:
        location, setting, problem, trusted, kwargs: see `read_pretrained`.

    Raises:
        ConfigError: reading fails, or weights are missing, which transformers would draw at random.
    """
    model, info = read_pretrained(
        AutoModelForCausalLM.from_pretrained, location, setting, problem, trusted, output_loading_info=True, **kwargs
    )
    missing = sorted(info["missing_keys"])
    if missing:
        raise ConfigError(f"{setting} lacks weights of the model, {missing[0]} among {len(missing)}")
    return model


def refuse_adapter(location: str, setting: str, **kwargs: Any) -> None:
    """Refuse a location with an adapter: transformers would make it a part of the frozen base model.

    Args:
        location: a directory or a Hub id.
        setting: the config key and its value, for errors.
        kwargs: such as `revision`.

    Raises:
        ConfigError: there is an adapter, beside a model or in place of one.
    """
    try:
        file = find_adapter_config_file(location, **kwargs)
    except OSError:  # the location cannot be read; reading the model explains why
        return
    if file is None:
        return
    try:
        base = json.loads(Path(file).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (AttributeError, OSError, ValueError):
        base = None
    of_base = f" of {base}" if base else ""
    if (Path(file).parent / CONFIG_NAME).is_file():
        raise ConfigError(f"{setting} has an adapter{of_base} beside the model; remove {Path(file).name}")
    raise ConfigError(f"{setting} is an adapter{of_base}, not a model; name its base model")
