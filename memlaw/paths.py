"""Where memlaw finds its configuration and keeps its cache."""

import os
import sys
from pathlib import Path


def config_dir() -> str:
    """Absolute path of the Hydra configuration: `memlaw/conf` in a wheel, else the checkout's `conf/`."""
    package = Path(__file__).resolve().parent
    packaged = package / "conf"
    return str(packaged if packaged.is_dir() else package.parent / "conf")


def add_launchers() -> None:
    """Let Hydra find the checkout's launchers where the project is not installed."""
    launchers = Path(__file__).resolve().parent.parent / "launchers"
    if launchers.is_dir() and str(launchers) not in sys.path:
        sys.path.append(str(launchers))


def cache_dir() -> Path:
    """`$MEMLAW_CACHE`, or `~/.cache/memlaw`. Holds converted base models; safe to delete."""
    configured = os.environ.get("MEMLAW_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "memlaw"
