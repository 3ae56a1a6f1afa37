"""The programs of Slurm that a machine needs from which jobs are submitted."""

import shutil

PROGRAMS = ("sbatch", "srun", "squeue", "scontrol")
REMEDY = "install Slurm's client, or load its module"


def missing_programs() -> str:
    """What is missing here, in one line; empty when nothing is."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"no {', '.join(missing)} on PATH of this machine, from which jobs are submitted" if missing else ""
