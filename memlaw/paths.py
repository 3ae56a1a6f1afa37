"""Where memlaw finds its configuration and keeps its cache."""

import os
from pathlib import Path


def config_dir() -> str:
    """Absolute path of the Hydra configuration: `memlaw/conf` in a wheel, else the checkout's `conf/`."""
    package = Path(__file__).resolve().parent
    packaged = package / "conf"
    return str(packaged if packaged.is_dir() else package.parent / "conf")


def cache_dir() -> Path:
    """`$MEMLAW_CACHE`, or `~/.cache/memlaw`. Holds converted base models; safe to delete."""
    configured = os.environ.get("MEMLAW_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "memlaw"
