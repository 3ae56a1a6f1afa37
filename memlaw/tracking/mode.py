"""Decides whether runs go to W&B's server: by `logger.mode`, W&B's own switches and the credentials."""

import os
from typing import TYPE_CHECKING, Literal, cast

from memlaw.config.values import check_choice
from memlaw.core.errors import ConfigError, one_line, spelled

if TYPE_CHECKING:
    import wandb

FORBIDDEN = "/\\#?%:"
"""Characters that W&B refuses in the name of a project."""

OFF = ("", "0", "false", "no", "off")
"""Values of WANDB_DISABLED that disable nothing. W&B itself ignores that switch by now; memlaw obeys it."""

MODES = ("auto", "online", "offline", "disabled")
Mode = Literal["online", "offline", "disabled"]


def resolve_mode(mode: str) -> Mode:
    """Resolve `auto`: obey W&B's own switches; without any, be online when credentials exist.

    Raises:
        ConfigError: `mode` is none of `MODES`, or W&B refuses its own settings.
    """
    check_choice("logger.mode", mode, MODES)
    if mode != "auto":
        return cast(Mode, mode)
    return requested_mode() or ("online" if has_credentials() else "offline")


def requested_mode() -> Mode | None:
    """Read W&B's own switches, in environment variables and settings files; None when none is set.

    Raises:
        ConfigError: W&B refuses its own settings.
    """
    settings = wandb_settings()
    if settings.mode == "disabled" or os.environ.get("WANDB_DISABLED", "").lower() not in OFF:
        return "disabled"
    if settings.run_mode == "offline-run":  # W&B has several words for it
        return "offline"
    return "online" if "mode" in settings.model_fields_set else None


def check_name(key: str, value: object) -> None:
    """Refuse a value that cannot name a project, a team or a user.

    Raises:
        ConfigError: naming the key and what is allowed.
    """
    if not isinstance(value, str) or not 0 < len(value) <= 128 or any(sign in value for sign in FORBIDDEN):
        raise ConfigError(
            f"{key}={spelled(value)} is not a text of 1 to 128 characters without any of {' '.join(FORBIDDEN)}"
        )


def has_credentials() -> bool:
    """Tell whether W&B finds a key. This asks no server, so it cannot hang.

    Raises:
        ConfigError: W&B refuses its own settings.
    """
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib.wbauth import authenticate_session  # `wandb.login` may ask the server

    host = base_url()
    try:
        return authenticate_session(host=host, source="memlaw", prompt=False, update_session=False) is not None
    except (AuthenticationError, ValueError):  # the value found is no key
        return False


def base_url() -> str:
    """Return the address of W&B's server. Raises ConfigError when W&B refuses its own settings."""
    return wandb_settings().base_url


def wandb_settings() -> "wandb.Settings":
    """Read W&B's settings as W&B does: files of the current directory and of the user, then the environment.

    W&B reads them once per process.

    Raises:
        ConfigError: W&B refuses one of them.
    """
    import wandb
    from wandb.sdk.wandb_setup import singleton  # `wandb.setup` would also start W&B's own process

    try:
        return singleton().settings
    except (ValueError, wandb.errors.Error) as error:
        wandb.teardown()  # else it would return the settings that it had read before the error
        raise ConfigError(f"W&B refuses its own settings, in a WANDB_ variable or a file: {one_line(error)}") from error
