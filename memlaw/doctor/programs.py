"""Programs that checks run."""

import shutil
import subprocess


def output_of(*command: str, timeout_s: float = 20) -> str | None:
    """Return the output of a program; None when it is missing, fails or exceeds the time."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
