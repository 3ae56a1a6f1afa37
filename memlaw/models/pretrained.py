"""What transformers reads from foreign files and servers, with whatever goes wrong as one line that names the key."""

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
"""What transformers' refusal to run a model's code names, among much else."""


def read_pretrained(
    from_pretrained: Callable[..., Any], place: str, named: str, failed: str, trusted: bool, **kwargs: Any
) -> Any:
    """Call one of transformers' `from_pretrained`; code that comes with the model runs only if `trusted`.

    Args:
        from_pretrained: of `AutoConfig`, `AutoModelForCausalLM` or `AutoTokenizer`.
        place: a directory or a Hub id.
        named: the config key and its value, for errors.
        failed: what to say after that when it cannot be read.
        trusted: `model.trust_remote_code`.
        kwargs: for `from_pretrained`.

    Raises:
        ConfigError: it cannot be read, or needs code of its own that is not trusted.
    """
    if trusted:
        log.warning("model.trust_remote_code: running code that comes with %s", place)
    try:
        return from_pretrained(place, trust_remote_code=trusted, **kwargs)
    except Exception as error:  # the reading of foreign files ends in any of them
        if is_out_of_memory(error):
            raise
        if not trusted and UNTRUSTED in str(error):
            raise ConfigError(
                f"{named} brings code of its own; read it, and if you trust it, add +model.trust_remote_code=true"
            ) from error
        raise ConfigError(f"{named} {failed}: {one_line(error)}") from error


def read_model(place: str, named: str, failed: str, trusted: bool, **kwargs: Any) -> PreTrainedModel:
    """A causal LM with all of its weights, and with nothing that was not named.

    Args:
        place, named, failed, trusted, kwargs: see `read_pretrained`.

    Raises:
        ConfigError: it cannot be read, or lacks weights, which transformers would draw at random.
    """
    model, info = read_pretrained(
        AutoModelForCausalLM.from_pretrained, place, named, failed, trusted, output_loading_info=True, **kwargs
    )
    missing = sorted(info["missing_keys"])
    if missing:
        raise ConfigError(f"{named} lacks weights of the model, {missing[0]} among {len(missing)}")
    return model


def refuse_adapter(place: str, named: str, **kwargs: Any) -> None:
    """Refuse an adapter that lies in a model's place: transformers would make it a part of the frozen base model.

    Args:
        place: a directory or a Hub id.
        named: the config key and its value, for errors.
        kwargs: such as `revision`.

    Raises:
        ConfigError: there is one; beside a model, or alone, when its base is what is wanted.
    """
    try:
        file = find_adapter_config_file(place, **kwargs)
    except OSError:  # nothing can be had from there, which whoever reads the model says
        return
    if file is None:
        return
    try:
        base = json.loads(Path(file).read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (AttributeError, OSError, ValueError):
        base = None
    whose = f" of {base}" if base else ""
    if (Path(file).parent / CONFIG_NAME).is_file():
        raise ConfigError(f"{named} holds an adapter{whose} beside the model; take {Path(file).name} away")
    raise ConfigError(f"{named} is an adapter{whose}, not a model; give its base model")
