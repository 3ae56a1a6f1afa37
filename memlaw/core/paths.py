"""Find memlaw's configuration, the packages of a checkout, and the cache."""

import os
import sys
from pathlib import Path

from memlaw.core.errors import ConfigError

CHECKOUT_FOLDERS = ("launchers", "analysis")
"""Folders of a checkout that hold packages, beside memlaw itself."""


def config_dir() -> str:
    """Return the absolute path of the Hydra configuration: `memlaw/conf` in a wheel, else the checkout's `conf/`."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "conf"
    return str(packaged if packaged.is_dir() else package.parent / "conf")


def checkout_paths() -> list[str]:
    """Return the directories that another Python needs on its path to import this checkout; none for a wheel."""
    root = Path(__file__).resolve().parents[2]
    return [str(root), *(str(root / name) for name in CHECKOUT_FOLDERS)] if (root / "launchers").is_dir() else []


def add_checkout() -> None:
    """Put the checkout's folders on Python's path, so that their packages are found without an installation."""
    sys.path.extend(path for path in checkout_paths()[1:] if path not in sys.path)


def cache_dir() -> Path:
    """Return `$MEMLAW_CACHE`, or `~/.cache/memlaw`. It holds converted base models and is safe to delete.

    Raises:
        ConfigError: the variable is not set and the user has no home directory.
    """
    configured = os.environ.get("MEMLAW_CACHE")
    if configured:
        return Path(configured)
    try:
        return Path.home() / ".cache" / "memlaw"
    except RuntimeError as error:  # a user without a home, as in some containers
        raise ConfigError("no home directory for the cache: set MEMLAW_CACHE to a directory") from error
