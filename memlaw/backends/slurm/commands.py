"""Slurm's programs: which are there, what they answer, and the cluster's configuration."""

import re
import shutil
import subprocess
from collections.abc import Mapping

from memlaw.core.errors import ConfigError

PROGRAMS = ("sbatch", "srun", "squeue", "scontrol")
"""What a machine needs from which jobs are submitted."""

REMEDY = "install Slurm's client, or load its module"

TIMEOUT_S = 120.0
"""How long a program may take to answer."""


def missing_programs() -> str:
    """Name what is missing here, in one line; empty when nothing is."""
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
    """Return what a program of Slurm prints.

    Raises:
        ConfigError: it is not there, does not answer in time, or refuses, in its own words.
    """
    answer = run(*command, timeout_s=timeout_s)
    if answer.returncode:
        raise ConfigError(" ".join(answer.stderr.split()) or f"{command[0]} ended with {answer.returncode}")
    return answer.stdout


def cluster_config(timeout_s: float = TIMEOUT_S) -> dict[str, str]:
    """Read the cluster's configuration, by the names of slurm.conf. Raises ConfigError as `ask` does."""
    shown = ask("scontrol", "show", "config", timeout_s=timeout_s)
    return dict(re.findall(r"^(\w+)\s*=[ \t]*(.*?)\s*$", shown, re.MULTILINE))


def max_array_size(config: Mapping[str, str]) -> int:
    """Return the first index that no task of an array can have; Slurm's default where `config` names none."""
    text = config.get("MaxArraySize", "")
    return int(text) if text.isdigit() else 1001
