"""Whether W&B's server is asked at all: `logger.mode`, W&B's own switches and the credentials."""

import os
from typing import TYPE_CHECKING, Literal, cast

from memlaw.config.values import check_choice
from memlaw.core.errors import ConfigError, one_line, spelled

if TYPE_CHECKING:
    import wandb

FORBIDDEN = "/\\#?%:"
"""Characters that W&B takes in no name of a project."""

OFF = ("", "0", "false", "no", "off")
"""Values of WANDB_DISABLED that disable nothing. W&B has dropped that switch; who sets it still means it."""

MODES = ("auto", "online", "offline", "disabled")
Mode = Literal["online", "offline", "disabled"]


def resolve_mode(mode: str) -> Mode:
    """`online`, `offline` or `disabled`; `auto` obeys W&B's own switches, else is online when credentials exist.

    Raises:
        ConfigError: `mode` is none of `MODES`, or W&B refuses its own settings.
    """
    check_choice("logger.mode", mode, MODES)
    if mode != "auto":
        return cast(Mode, mode)
    return told() or ("online" if has_credentials() else "offline")


def told() -> Mode | None:
    """What W&B's own switches say, its environment variables and its settings files; None where they say nothing.

    Raises:
        ConfigError: W&B refuses its own settings.
    """
    settings = own_settings()
    if settings.mode == "disabled" or os.environ.get("WANDB_DISABLED", "").lower() not in OFF:
        return "disabled"
    if settings.run_mode == "offline-run":  # W&B has more than one word for it
        return "offline"
    return "online" if "mode" in settings.model_fields_set else None


def check_name(key: str, value: object) -> None:
    """Refuse what cannot name a project, a team or a user.

    Raises:
        ConfigError: naming the key and what is allowed.
    """
    if not isinstance(value, str) or not 0 < len(value) <= 128 or any(sign in value for sign in FORBIDDEN):
        raise ConfigError(
            f"{key}={spelled(value)} is not a text of 1 to 128 characters without any of {' '.join(FORBIDDEN)}"
        )


def has_credentials() -> bool:
    """Whether W&B finds a key where it looks for one; asks no server, so it cannot hang.

    Raises:
        ConfigError: W&B refuses its own settings.
    """
    from wandb.errors import AuthenticationError
    from wandb.sdk.lib.wbauth import authenticate_session  # `wandb.login` would say more, and may ask the server

    host = base_url()
    try:
        return authenticate_session(host=host, source="memlaw", prompt=False, update_session=False) is not None
    except (AuthenticationError, ValueError):  # what stands there is no key
        return False


def base_url() -> str:
    """Where W&B's server is, as configured. Raises ConfigError when W&B refuses its own settings."""
    return own_settings().base_url


def own_settings() -> "wandb.Settings":
    """W&B's settings as W&B reads them, in the directory where it is first asked: files, then the environment.

    Raises:
        ConfigError: W&B refuses one of them.
    """
    import wandb
    from wandb.sdk.wandb_setup import singleton  # `wandb.setup` would also start W&B's own process

    try:
        return singleton().settings
    except (ValueError, wandb.errors.Error) as error:
        wandb.teardown()  # it would hand out, from now on, what it had read until then
        raise ConfigError(f"W&B refuses its own settings, in a WANDB_ variable or a file: {one_line(error)}") from error
