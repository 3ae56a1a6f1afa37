"""Whether W&B's server is asked at all: `logger.mode`, the environment and the credentials."""

import netrc
import os
from typing import Literal, cast
from urllib.parse import urlparse

from memlaw.errors import ConfigError

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


def has_credentials() -> bool:
    """Whether W&B credentials are configured; asks no server, so it cannot hang."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlparse(base_url()).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def base_url() -> str:
    """Where W&B's server is, as configured."""
    import wandb

    return wandb.setup(wandb.Settings(silent=True)).settings.base_url
