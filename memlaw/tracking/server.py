"""W&B's server: whether it is there and takes the key."""

from memlaw.core.errors import ConfigError, one_line
from memlaw.tracking.mode import base_url, has_credentials

ATTEMPTS = 3
"""How often the server is asked whether it is there; W&B gives up after some ten seconds each time."""


def check_server() -> None:
    """Ask W&B's server whether it is there and takes the key.

    Raises:
        ConfigError: it is not, or does not.
    """
    import wandb

    if not has_credentials():
        raise ConfigError(f"no W&B key for {base_url()}: run `wandb login` or set WANDB_API_KEY")
    wandb.setup(wandb.Settings(silent=True, mode="online"))  # an upload is asked for, whatever training was told
    for attempt in range(ATTEMPTS):
        try:
            wandb.login(verify=True)
            return
        except Exception as error:  # W&B has no one class for a wrong key, an absent server and too many requests
            if attempt + 1 == ATTEMPTS:
                message = f"W&B at {base_url()} is not there or refuses the key: {one_line(error)}"
                raise ConfigError(message) from error
