"""W&B's server."""

from memlaw.core.errors import ConfigError, one_line
from memlaw.tracking.mode import base_url, has_credentials

ATTEMPTS = 3
"""Attempts to reach the server; W&B gives up each after some ten seconds."""


def check_server() -> None:
    """Check that W&B's server answers and accepts the key.

    Raises:
        ConfigError: there is no key, no server, or the server refuses the key.
    """
    import wandb

    if not has_credentials():
        raise ConfigError(f"no W&B key for {base_url()}: run `wandb login` or set WANDB_API_KEY")
    wandb.setup(wandb.Settings(silent=True, mode="online"))  # whatever the mode of training
    for attempt in range(ATTEMPTS):
        try:
            wandb.login(verify=True)
            return
        except Exception as error:  # W&B's errors have no common class
            if attempt + 1 == ATTEMPTS:
                message = f"W&B at {base_url()} does not answer or refuses the key: {one_line(error)}"
                raise ConfigError(message) from error
