"""What transformers reads from foreign files and servers, with whatever goes wrong as one line that names the key."""

import logging
from collections.abc import Callable
from typing import Any

from memlaw.errors import ConfigError, is_out_of_memory, one_line

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
