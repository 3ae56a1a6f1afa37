"""Whether W&B's server is asked at all: `logger.mode`, the environment and the credentials."""

import os
from typing import Literal, cast

from memlaw.errors import ConfigError

FORBIDDEN = "/\\#?%:"
"""Characters that W&B takes in no name of a project."""

MODES = ("auto", "online", "offline", "disabled")
Mode = Literal["online", "offline", "disabled"]


def resolve_mode(mode: str) -> Mode:
    """`online`, `offline` or `disabled`; `auto` obeys WANDB_MODE, else is online when credentials exist.

    Raises:
        ConfigError: `mode` is none of `MODES`.
    """
    if mode not in MODES:
        raise ConfigError(f"logger.mode={mode} is not one of {', '.join(MODES)}")
    chosen = os.environ.get("WANDB_MODE", "auto") if mode == "auto" else mode
    if chosen in ("online", "offline", "disabled"):
        return cast(Mode, chosen)
    return "online" if has_credentials() else "offline"


def check_name(key: str, value: object) -> None:
    """Refuse what cannot name a project, a team or a user.

    Raises:
        ConfigError: naming the key and what is allowed.
    """
    if not isinstance(value, str) or not 0 < len(value) <= 128 or any(sign in value for sign in FORBIDDEN):
        raise ConfigError(f"{key}={value} is not a text of 1 to 128 characters without any of {' '.join(FORBIDDEN)}")


def has_credentials() -> bool:
    """Whether W&B credentials are configured, where W&B itself looks for them; asks no server, so it cannot hang."""
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib.wbauth.wbnetrc import read_netrc_auth  # no public name for it; hosts have several spellings

    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    try:
        return read_netrc_auth(host=base_url()) is not None
    except (AuthenticationError, ValueError):  # what stands there is no key, or the address none of W&B's
        return False


def base_url() -> str:
    """Where W&B's server is, as configured."""
    import wandb

    return wandb.setup(wandb.Settings(silent=True)).settings.base_url
