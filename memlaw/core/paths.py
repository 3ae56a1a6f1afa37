"""Where memlaw finds its configuration and keeps its cache."""

import os
import sys
from pathlib import Path

from memlaw.core.errors import ConfigError

CHECKOUT_FOLDERS = ("launchers", "analysis")
"""Folders of a checkout that hold packages, beside memlaw itself."""


def config_dir() -> str:
    """Absolute path of the Hydra configuration: `memlaw/conf` in a wheel, else the checkout's `conf/`."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "conf"
    return str(packaged if packaged.is_dir() else package.parent / "conf")


def checkout_paths() -> list[str]:
    """What another Python must have on its path to import this checkout; nothing when memlaw is a wheel's."""
    root = Path(__file__).resolve().parents[2]
    return [str(root), *(str(root / name) for name in CHECKOUT_FOLDERS)] if (root / "launchers").is_dir() else []


def add_checkout() -> None:
    """Let Python find the packages in the checkout's folders where the project is not installed."""
    sys.path.extend(path for path in checkout_paths()[1:] if path not in sys.path)


def cache_dir() -> Path:
    """`$MEMLAW_CACHE`, or `~/.cache/memlaw`. Holds converted base models; safe to delete.

    Raises:
        ConfigError: neither is known.
    """
    configured = os.environ.get("MEMLAW_CACHE")
    if configured:
        return Path(configured)
    try:
        return Path.home() / ".cache" / "memlaw"
    except RuntimeError as error:  # a user without a home, as in some containers
        raise ConfigError("there is no home directory for the cache: let MEMLAW_CACHE name a directory") from error
