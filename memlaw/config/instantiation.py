"""Make the object that a `_target_` in the configuration names."""

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from memlaw.core.errors import ConfigError, one_line


def instantiate_checked(node: Any) -> Any:
    """Call the `_target_` of a config node with the node's values.

    Raises:
        ConfigError: the call refuses the values. A ConfigError of the call is raised unchanged.
    """
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None
        raise ConfigError(f"{node._get_full_key(None)}: {one_line(error.__cause__ or error)}") from error
