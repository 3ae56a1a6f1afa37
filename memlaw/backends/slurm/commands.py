"""Call Slurm's programs, and read the cluster's configuration."""

import re
import shutil
import subprocess
from collections.abc import Mapping

from memlaw.core.errors import ConfigError

PROGRAMS = ("sbatch", "srun", "squeue", "scontrol")
"""Programs that a machine needs in order to submit jobs."""

REMEDY = "install Slurm's client, or load its module"

TIMEOUT_S = 120.0
"""Time in which a program has to answer."""


def missing_programs() -> str:
    """Name the missing programs in one line. Return an empty text when none is missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no {', '.join(missing)} on PATH of this machine, from which jobs are submitted" if missing else ""


def run(*command: str, timeout_s: float = TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """Run a program of Slurm to its end.

    Raises:
        ConfigError: it is not there, or does not answer in time.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s)
    except OSError:
        cause = missing_programs() or f"{command[0]} cannot be run"
        raise ConfigError(f"hydra/launcher=slurm: {cause}; {REMEDY}") from None
    except subprocess.TimeoutExpired:
        raise ConfigError(f"{command[0]} has not answered for {timeout_s:.0f} s") from None


def ask(*command: str, timeout_s: float = TIMEOUT_S) -> str:
    """Return the output of a program of Slurm.

    Raises:
        ConfigError: it is not there, does not answer in time, or refuses, in its own words.
    """
    answer = run(*command, timeout_s=timeout_s)
    if answer.returncode:
        raise ConfigError(" ".join(answer.stderr.split()) or f"{command[0]} ended with {answer.returncode}")
    return answer.stdout


def cluster_config(timeout_s: float = TIMEOUT_S) -> dict[str, str]:
    """Read the cluster's configuration: name in slurm.conf → value. Raises ConfigError as `ask` does."""
    text = ask("scontrol", "show", "config", timeout_s=timeout_s)
    return dict(re.findall(r"^(\w+)\s*=[ \t]*(.*?)\s*$", text, re.MULTILINE))


def max_array_size(config: Mapping[str, str]) -> int:
    """Return MaxArraySize, the first index that a task cannot have, or Slurm's default where `config` lacks it."""
    text = config.get("MaxArraySize", "")
    return int(text) if text.isdigit() else 1001
